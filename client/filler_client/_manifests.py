"""Manifests of nets that are written: what is known of each tensor before its values come."""

import hashlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format

from caffe_filler import dtypes
from caffe_filler.caffe.caffe_pb2 import FillerParameter, Phase
from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.interface import option
from caffe_filler.v1 import filler_pb2
from filler_client._provenance import library

if TYPE_CHECKING:
    from filler_server.digests import Blob, Draft, Fill, Manifest
    from filler_server.net.plan import NetPlan
    from filler_server.tensors import Tensor

CONTRACT = 1
"""Version of the contract of the random streams."""


def net_draft(
    plan: "NetPlan",
    request: filler_pb2.FillNetRequest,
    tensors: "Sequence[Tensor]",
    filled: "Mapping[str, Tensor]",
    *,
    stream: str,
    names: str,
) -> "Draft":
    """Return the draft of the manifest of a net.

    Args:
        plan: the net.
        request: what fills it.
        tensors: those of the file, of which some are filled blobs under other names or in other shapes.
        filled: the blobs that are filled, by their names.
        stream: name of the random numbers.
        names: how the tensors are called.
    """
    from filler_server.digests import Draft

    blobs = {blob.name: blob for blob in plan.blobs}
    # Tensors have no other way to tell whose values they are.
    names_by_id = {id(tensor): name for name, tensor in filled.items()}
    origins: dict[str, tuple[str | None, Blob | None]] = {}
    for tensor in tensors:
        name = names_by_id.get(id(_base(tensor)))
        if name is not None:
            owner = blobs[blobs[name].owner or name]
            origins[tensor.name] = (None if owner.given else filler_text(owner.filler), _blob(owner))
    return Draft(library(), _fill(plan, request, stream, names), origins)


def plain_draft() -> "Draft":
    """Return the draft of the manifest of tensors of which nothing is known but their values."""
    from filler_server.digests import Draft

    return Draft(library())


def complete(
    target: Path,
    wanted: "Manifest",
    tensors: "Sequence[Tensor]",
    max_shard_bytes: int | None,
    beside: Path | None,
) -> "tuple[tuple[Path, ...], Manifest] | None":
    """Return the files and the manifest of what is there already, if it is what would be written; else None.

    Args:
        target: where it would be written.
        wanted: its manifest, digests aside.
        tensors: its tensors.
        max_shard_bytes: length from which on it is several files.
        beside: where its manifest would lie, if anywhere.
    """
    from filler_server.digests import Manifest, read_manifest
    from filler_server.digests.manifest import KEY
    from filler_server.weights.formats.shards import index_of, places_named, places_of, shards_of
    from filler_server.weights.opening import open_weights

    shards = [list(tensors)] if max_shard_bytes is None else shards_of(tensors, max_shard_bytes)
    path = target
    files: tuple[Path, ...] = (target,)
    # A run that was killed in its last moment has left what it would have removed: a file beside a set of its name.
    if (target if len(shards) > 1 else index_of(target)).exists():
        return None
    try:
        if len(shards) > 1:
            path, places = index_of(target), places_of(target, shards)
            if places_named(path) != places:
                return None
            files = (path, *(path.parent / name for name in dict.fromkeys(places.values())))
        # A file that is cut short, or lacks shards, is not opened.
        with open_weights(path) as weights:
            text = weights.metadata.get(KEY)
            found = None if text is None else Manifest.parse(text)
            present = {tensor.name: (tensor.shape, tensor.dtype) for tensor in weights.tensors}
        written = found
        if beside is not None:
            written = read_manifest(beside)
    except (FillerError, OSError):
        return None
    if written is None or (found is not None and not written.is_like(found)) or not written.is_like(wanted):
        return None
    if present != {tensor.name: (tensor.shape, tensor.dtype) for tensor in tensors}:
        return None
    return files, written


def manifest_path(path: str | PathLike[str] | None) -> Path | None:
    """Return the path of a manifest to be written.

    Raises:
        InvalidArgument: its name does not end in .json; it may be that of another file, given by mistake.
    """
    if path is None:
        return None
    target = Path(path)
    if target.suffix.lower() != ".json":
        raise InvalidArgument(
            f"the name of a manifest ends in .json. Received: {option('manifest', str(target))}", field="manifest"
        )
    return target


def write_manifest(path: Path, manifest: "Manifest") -> None:
    """Write a manifest.

    Raises:
        OSError: it cannot be written.
    """
    from filler_server.output import write_atomically

    write_atomically(path, manifest.text(in_lines=True).encode())


def filler_text(filler: FillerParameter) -> str:
    """Return a filler as one line of prototxt, with its type."""
    written = FillerParameter()
    written.CopyFrom(filler)
    written.type = filler.type
    return text_format.MessageToString(written, as_one_line=True).strip()


def net_sha256(net: bytes) -> str:
    """Return the SHA-256 of a net's source in hexadecimal."""
    return hashlib.sha256(net).hexdigest()


def _base(tensor: "Tensor") -> "Tensor":
    """Return the tensor whose values, in their order, another one gives."""
    from filler_server.tensors import View

    while isinstance(tensor, View):
        tensor = tensor.base
    return tensor


def _blob(blob: Any) -> "Blob | None":
    from filler_server.digests import Blob

    return None if blob.known_shape is None else Blob(blob.name, blob.known_shape)


def _fill(plan: "NetPlan", request: filler_pb2.FillNetRequest, stream: str, names: str) -> "Fill":
    from filler_server.digests import Fill

    state = plan.state
    return Fill(
        net_sha256=net_sha256(request.net.net),
        phase=Phase.Name(state.phase),
        level=state.level,
        stages=tuple(state.stage),
        seed=request.seed,
        stream=stream,
        contract=CONTRACT,
        dtype=dtypes.from_wire(request.dtype).name,
        names=names,
        options=_options(request, is_sequential=stream != "philox"),
    )


def _options(request: filler_pb2.FillNetRequest, *, is_sequential: bool) -> dict[str, Any]:
    """Return what else the values depend on, where it is not the default."""
    net = request.net
    options: dict[str, Any] = {}
    for name, shapes in (("inputs", net.inputs), ("tops", net.tops)):
        if shapes:
            options[name] = {entry.name: [None if dim < 0 else dim for dim in entry.shape.dim] for entry in shapes}
    if net.fillers:
        options["fillers"] = {entry.name: filler_text(entry.filler) for entry in reversed(net.fillers)}
    if net.lenient:
        options["lenient"] = True
    if is_sequential:
        if request.HasField("data_draw_count"):
            options["data_draws"] = request.data_draw_count
        elif request.data_draws:
            options["data_draws"] = filler_pb2.DataDraws.Name(request.data_draws).lower()
        if request.before:
            options["before"] = [net_sha256(before.net) for before in request.before]
    return options
