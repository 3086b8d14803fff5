"""A net into a set of files that a cluster of Ray writes."""

from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from caffe_filler.interface import current_interface
from filler_client import _requests
from filler_client._client import FillerClient
from filler_client._content import Names
from filler_client._embedded import EmbeddedBackend
from filler_client._finetune import FinetuneOptions
from filler_client._manifests import manifest_path
from filler_client._options import takes_options
from filler_client._requests import NetLike
from filler_client._saving import SavedNet, part_sizes
from filler_client.ray._cluster import joined
from filler_client.ray._tasks import remove_hidden, run_tasks
from filler_client.ray._work import Order

if TYPE_CHECKING:
    from filler_server.tensors import Advance


class RaySaveOptions(FinetuneOptions, total=False):
    """Options on which the files depend; those of `FillerClient.save_net` but trained weights.

    Attributes:
        names: how tensors are called: caffe (the default) or torch.
        max_shard_bytes: length of a file, for each of which there is a task.
        allow_missing: whether files are written although a layer must have blobs that are not known.
        manifest: where to write the manifest, a .json.
        advance: is told the bytes of each step: those that are written, then those that are checked.
    """

    names: Names
    max_shard_bytes: int | None
    allow_missing: bool
    manifest: str | PathLike[str] | None
    advance: "Advance | None"


@takes_options(RaySaveOptions)
def save_net(
    net: NetLike,
    path: str | PathLike[str],
    *,
    address: str | None = None,
    **options: Unpack[RaySaveOptions],
) -> SavedNet:
    """Write all learnable blobs of a net to a set of files, each by a task of Ray, and hold them to their digests.

    The files are those of `FillerClient.save_net`. Tasks whose machine is lost start anew elsewhere. Files that are
    complete already stay, so that a run that was interrupted is simply started again.

    Args:
        net: prototxt text, the bytes or path of a file, or a NetParameter.
        path: where to, `<name>.safetensors`, in a folder that all nodes of the cluster have at the same path.
        address: that of the cluster, `host:port`; by default that of RAY_ADDRESS, or the one of this machine. Where
            this process has joined a cluster already, it is that one.
        options: those of `RaySaveOptions`.

    Raises:
        InvalidArgument: the folder is not the same on a node, or the format is not written in several files.
        Unavailable: no cluster can be joined, a node has another version of the library, or was lost too often.
        FillerError: one of the tree in `caffe_filler.errors`.
        OSError: a file cannot be read or written.
    """
    from filler_server.output import AtomicFile

    advance, manifest = options.pop("advance", None), manifest_path(options.pop("manifest", None))
    source, target = _requests.net_bytes(net), Path(path).absolute()
    given: Any = options
    pieces = partial(EmbeddedBackend().pieces, timeout=None)
    lengths = part_sizes(pieces, source, target, asked="ray", **given)
    # It is never completed: as long as it is there, whoever sees it has the same folder.
    token = AtomicFile(target)
    try:
        order = Order(source, target, token.hidden, len(lengths), current_interface(), options)
        try:
            with joined(address):
                notes = run_tasks(order, lengths, advance)
        except BaseException:
            remove_hidden(order)
            raise
        saved = FillerClient.embedded().save_net(
            source, target, finish=True, manifest=manifest, advance=advance, **given
        )
    finally:
        token.discard()
    return replace(saved, notes=tuple(dict.fromkeys((*saved.notes, *notes))))
