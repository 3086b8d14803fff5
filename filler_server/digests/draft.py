"""A manifest in the making: digests come while the file is written."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from filler_server.digests.contract import Digest
from filler_server.digests.manifest import KEY, Blob, Entry, Fill, Manifest
from filler_server.tensors import Tensor


class Draft:
    """A manifest whose digests are zeros until they are noted; its text has the same length before and after.

    Args:
        library: name and version of what writes the file.
        fill: how the values are filled.
        origins: by the names of the tensors the filler and, where there is one, the blob of each.
    """

    def __init__(
        self,
        library: str,
        fill: Fill | None = None,
        origins: Mapping[str, tuple[str | None, Blob | None]] = MappingProxyType({}),
    ) -> None:
        self._library = library
        self._fill = fill
        self._origins = origins
        self._entries: dict[str, Entry] = {}

    def begin(self, tensors: Iterable[Tensor]) -> None:
        """Set down the tensors that will come."""
        for tensor in tensors:
            origin = self._origins.get(tensor.name, (None, None))
            self._entries[tensor.name] = Entry(tensor.dtype.name, tensor.shape, Digest(), *origin)

    def note(self, name: str, digest: Digest) -> None:
        """Note the digest of a tensor."""
        self._entries[name] = replace(self._entries[name], digest=digest)

    def metadata(self, names: Iterable[str]) -> dict[str, str]:
        """Return what the metadata of a file say of its tensors."""
        return {KEY: Manifest(self._library, {name: self._entries[name] for name in names}, self._fill).text()}

    def manifest(self, files: Mapping[str, str] = MappingProxyType({})) -> Manifest:
        """Return the manifest of all tensors, or of those that lie in files, by the names of these."""
        entries = {name: replace(self._entries[name], file=files.get(name)) for name in files or self._entries}
        return Manifest(self._library, entries, self._fill)
