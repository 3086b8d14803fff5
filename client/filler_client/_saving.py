"""A net into a file: filled, or copied from trained weights where they have it."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict, Unpack

from caffe_filler import dtypes
from caffe_filler.errors import InvalidArgument, NetError
from caffe_filler.interface import option, option_name
from caffe_filler.printable import counted
from caffe_filler.v1 import filler_pb2
from filler_client import _finetune
from filler_client._backend import Piece, StreamRequest
from filler_client._finetune import FinetuneOptions, WeightsLike
from filler_client._manifests import complete, manifest_path, net_draft, write_manifest
from filler_client._received import received_tensors
from filler_client._requests import NetLike

if TYPE_CHECKING:
    from filler_server.digests import Manifest
    from filler_server.net.plan import Blob, NetPlan
    from filler_server.tensors import Advance, Tensor
    from filler_server.weights.merge import Merge, MergePlan

_MOST_NAMED = 8

Names: TypeAlias = Literal["caffe", "torch"]


class SaveOptions(TypedDict, total=False):
    """Options on which a file depends besides its values.

    Attributes:
        names: how tensors are called: caffe (the default), `<layer>/<blob index>`; or torch, as the state_dict of
            matching modules has them.
        ignore_shape: whether blobs whose shapes differ from those of the weights are filled rather than being an error.
        reshape: whether weights of another shape with as many values are copied.
        max_shard_bytes: a .safetensors that would hold more is written as several files with an index.
        allow_missing: whether a file is written although a layer must have blobs that are not known, or the net has
            none at all.
        manifest: where to write the manifest, a .json: the digest of each tensor and where it comes from. A
            .safetensors has it in its metadata in any case.
        keep_complete: whether a file stays as it is whose manifest, in it or at `manifest`, says that it is what would
            be written. Its values are not read; `verify` holds them to the manifest. Those of the files of a `part` are
            read, and held to it.
        part: number of a part, from 1, and number of parts, of a set of files that several processes write: those of
            this part are written, and no index.
        finish: whether, in place of writing, the files of all parts are held to their manifests and the index is
            written.
        advance: is told the bytes of each step and the tensor that they belong to.
    """

    names: Names
    ignore_shape: bool
    reshape: bool
    max_shard_bytes: int | None
    allow_missing: bool
    manifest: str | PathLike[str] | None
    keep_complete: bool
    part: tuple[int, int] | None
    finish: bool
    advance: "Advance | None"


@dataclass(frozen=True, slots=True)
class SavedNet:
    """A net that has been written.

    Attributes:
        path: the file to open: of several files their index; of a part its first file, or where there is none the one
            that was named.
        files: all files, that one first.
        tensors: number of tensors.
        nbytes: length of all values in bytes.
        notes: what a user of the file should know.
        warnings: what may well be wrong with it.
        merge: what became of each blob, where trained weights were given.
        manifest: the digest of each tensor, and where it comes from.
        is_kept: whether all of it was complete already, and stayed as it is.
    """

    path: Path
    files: tuple[Path, ...]
    tensors: int
    nbytes: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    merge: "MergePlan | None"
    manifest: "Manifest"
    is_kept: bool = False

    def __repr__(self) -> str:
        return (
            f"SavedNet({str(self.path)!r}, {counted(len(self.files), 'file')}, {counted(self.tensors, 'tensor')}, "
            f"{counted(self.nbytes, 'byte')})"
        )


class SaveNetOptions(FinetuneOptions, SaveOptions, total=False):
    """Options on which a file of a net depends, besides the net and trained weights."""


class Pieces(Protocol):
    """Yields the pieces of a request, compared with the plan of its net."""

    def __call__(self, request: StreamRequest, *, plan: "NetPlan | None") -> Iterator[Piece]:
        """Ask for them."""
        ...


def save_net(
    pieces: Pieces,
    net: NetLike,
    path: str | PathLike[str],
    weights: WeightsLike | None,
    **options: Unpack[SaveNetOptions],
) -> SavedNet:
    """Write a net to a file; see `FillerClient.save_net`."""
    from filler_server.layouts.layers import definitions
    from filler_server.layouts.torch import to_torch
    from filler_server.tensors import cast
    from filler_server.weights.parts import finish, save_part
    from filler_server.weights.saving import format_of, save

    names, advance = options.pop("names", "caffe"), options.pop("advance", None)
    if names not in ("caffe", "torch"):
        raise InvalidArgument(f"tensors are named as in caffe or torch. Received: names={names!r}", field="names")
    ignore_shape, reshape = options.pop("ignore_shape", False), options.pop("reshape", False)
    allow_missing, manifest = options.pop("allow_missing", False), manifest_path(options.pop("manifest", None))
    keep_complete, part, finishing = (
        options.pop("keep_complete", False),
        options.pop("part", None),
        options.pop("finish", False),
    )
    if part is not None and finishing:
        raise InvalidArgument(
            f"a part is written or all are finished. Received: {option_name('part')}, {option_name('finish')}"
        )
    if part is not None and manifest is not None:
        raise InvalidArgument(
            f"a manifest of all parts is written with {option('finish')}. Received: {option_name('manifest')}"
        )
    max_shard_bytes, stream = options.pop("max_shard_bytes", None), options.get("stream", "philox")
    request = _finetune.fill_request(net, **options)  # type: ignore[misc]
    target = Path(path)
    needs_net = format_of(target).needs_net
    plan = _finetune.local_plan(request.net)
    if not allow_missing:
        _check_complete(plan)
    opening = (
        nullcontext(None)
        if weights is None
        else _finetune.open_merge(plan, weights, ignore_shape=ignore_shape, reshape=reshape)
    )
    with opening as merge:
        tensors, filled = _tensors(plan, merge, request, pieces)
        notes: tuple[str, ...] = ()
        if names == "torch":
            state = to_torch(plan.layers, tensors)
            tensors, notes = list(state.tensors), state.notes
        dtype = dtypes.from_wire(request.dtype)
        tensors = [cast(tensor, dtype) for tensor in tensors]
        draft = net_draft(plan, request, tensors, filled, stream=stream, names=names)
        draft.begin(tensors)
        if keep_complete and merge is None and part is None and not finishing:
            kept = complete(target, draft.manifest(), tensors, max_shard_bytes, manifest)
            if kept is not None:
                files, found = kept
                nbytes = sum(tensor.nbytes for tensor in tensors)
                return SavedNet(files[0], files, len(tensors), nbytes, notes, (), None, found, is_kept=True)
        if manifest is not None:
            # What is not written whole must not have the manifest of what was there before.
            manifest.unlink(missing_ok=True)
        metadata = {"producer": "caffe-filler", "stream": stream, "seed": str(request.seed)}
        sized: Any = {"max_shard_bytes": max_shard_bytes, "draft": draft, "advance": advance}
        if finishing:
            saved = finish(tensors, target, **sized)
        elif part is not None:
            keep_files = keep_complete and merge is None
            saved = save_part(tensors, target, part=part, metadata=metadata, keep_complete=keep_files, **sized)
        else:
            described = definitions(plan.name, plan.layers) if needs_net else None
            saved = save(tensors, target, metadata=metadata, net=described, **sized)
        assert saved.manifest is not None  # noqa: S101 - likewise
        if manifest is not None:
            write_manifest(manifest, saved.manifest)
        plan_of_merge = None if merge is None else merge.plan
    return SavedNet(
        saved.path or target,
        saved.files,
        saved.tensors,
        saved.nbytes,
        (*notes, *saved.notes),
        _warnings(plan, plan_of_merge),
        plan_of_merge,
        saved.manifest,
        is_kept=bool(saved.files) and saved.kept == saved.files,
    )


def _check_complete(plan: "NetPlan") -> None:
    """Refuse a net of which a file would lack blobs.

    Raises:
        NetError: naming the layers.
    """
    lacking = [layer for layer in plan.layers if layer.missing]
    if lacking:
        first = lacking[0]
        others = ", ".join(f"'{layer.name}'" for layer in lacking[1:_MOST_NAMED])
        more = f", like layers {others}" if others else ""
        raise NetError(
            f"its type '{first.type}' is not known, and so neither are the blobs that it must have{more}; "
            f"{option('allow_missing')} leaves them out. Received: {', '.join(first.missing[:_MOST_NAMED])}",
            layer=first.name,
            line=first.line,
        )
    if not any(True for _ in plan.blobs):
        raise NetError(
            f"the net has no learnable blobs; {option('allow_missing')} writes a file without any. "
            f"Received: layers={len(plan.layers)}"
        )


def _warnings(plan: "NetPlan", merge: "MergePlan | None") -> tuple[str, ...]:
    filled = [blob.name for blob in plan.blobs if not blob.given] if merge is None else merge.missing
    if not filled or any(layer.has_filler and layer.blobs for layer in plan.layers):
        return ()
    return ("no layer has a filler: its blobs are filled as Caffe does then, with zeros",)


def _tensors(
    plan: "NetPlan",
    merge: "Merge | None",
    request: filler_pb2.FillNetRequest,
    pieces: Pieces,
) -> "tuple[list[Tensor], dict[str, Tensor]]":
    """Return all blobs of a net in its order, copied or received, and by their names those that were received.

    Raises:
        FillerError: the weights do not fit, or a shape is not known.
    """
    blobs = {blob.name: blob for blob in plan.blobs}
    copied: dict[str, Tensor] = {}
    filled = list(blobs.values())
    if merge is not None:
        merge.plan.check()
        copied.update(merge.tensors)
        filled = [blobs[name] for name in merge.plan.missing]
        for blob in filled:
            request.blobs.add(name=blob.name)
    if any(blob.count is None for blob in filled):
        # What fills says best what would settle the shape.
        next(pieces(request, plan=None))
    shapes = [(blob.name, tuple(dim for dim in blob.shape or () if dim is not None)) for blob in filled]
    received = received_tensors(request, shapes, lambda part: pieces(part, plan=plan)) if filled else []
    new = {
        blob.name: _zeros(tensor, blobs[blob.owner or blob.name]) for blob, tensor in zip(filled, received, strict=True)
    }
    return [new[name] if name in new else copied[name] for name in blobs], new


def _zeros(tensor: "Tensor", blob: "Blob") -> "Tensor":
    """Return a tensor of zeros in place of a received one that has nothing else, such as Caffe's statistics."""
    from filler_server.tensors import constant

    if not blob.given and blob.filler.type == "constant" and blob.filler.value == 0:
        return constant(tensor.name, tensor.shape, tensor.dtype, 0)
    return tensor
