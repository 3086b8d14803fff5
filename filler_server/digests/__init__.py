"""Digests that add up over the parts of an array, and manifests of files with them.

`contract` defines a digest, `kernels` computes it with Numba and `plain` without. A `Manifest` says of a file where it
comes from, and of each of its tensors the dtype, the shape and the digest; a `Draft` becomes one while the file is
written.
"""

from filler_server.digests.contract import Digest, Digester, digest, digest_tensor
from filler_server.digests.draft import Draft
from filler_server.digests.manifest import Blob, Entry, Fill, Manifest, read_manifest

__all__ = [
    "Blob",
    "Digest",
    "Digester",
    "Draft",
    "Entry",
    "Fill",
    "Manifest",
    "digest",
    "digest_tensor",
    "read_manifest",
]
