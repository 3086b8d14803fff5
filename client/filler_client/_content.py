"""Content of the file of a net: its tensors, filled or copied from trained weights, and their manifest."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from caffe_filler import dtypes
from caffe_filler.errors import InvalidArgument, NetError
from caffe_filler.interface import option
from caffe_filler.v1 import filler_pb2
from filler_client import _finetune
from filler_client._backend import Piece, StreamRequest
from filler_client._finetune import WeightsLike
from filler_client._manifests import net_draft
from filler_client._received import received_tensors
from filler_client._requests import NetLike

if TYPE_CHECKING:
    from filler_server.digests import Draft
    from filler_server.net.plan import Blob, NetPlan
    from filler_server.tensors import Tensor
    from filler_server.weights.merge import Merge

_MOST_NAMED = 8

Names: TypeAlias = Literal["caffe", "torch"]


class Pieces(Protocol):
    """Yields the pieces of a request, compared with the plan of its net."""

    def __call__(self, request: StreamRequest, *, plan: "NetPlan | None") -> Iterator[Piece]:
        """Ask for them."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file that is to be written.

    Attributes:
        plan: the net.
        seed: its seed.
        tensors: those of the file, whose values come when they are read.
        notes: what a user of the file should know of them.
        draft: their manifest.
        merge: what becomes of each blob, where trained weights are given.
    """

    plan: "NetPlan"
    seed: int
    tensors: "list[Tensor]"
    notes: tuple[str, ...]
    draft: "Draft"
    merge: "Merge | None"


@contextmanager
def opened_net(
    pieces: Pieces,
    net: NetLike,
    weights: WeightsLike | None,
    *,
    names: Names = "caffe",
    ignore_shape: bool = False,
    reshape: bool = False,
    allow_missing: bool = False,
    **options: Any,
) -> Iterator[Content]:
    """Give what a file of a net has in it; files of trained weights are open as long as the block runs.

    Raises:
        FillerError: one of the tree in `caffe_filler.errors`.
        OSError: a file cannot be read.
    """
    from filler_server.layouts.torch import to_torch
    from filler_server.tensors import cast

    if names not in ("caffe", "torch"):
        raise InvalidArgument(f"tensors are named as in caffe or torch. Received: names={names!r}", field="names")
    request = _finetune.fill_request(net, **options)
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
        stream = options.get("stream", "philox")
        draft = net_draft(plan, request, tensors, filled, stream=stream, names=names)
        draft.begin(tensors)
        yield Content(plan, request.seed, tensors, notes, draft, merge)


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
        _finetune.check_fillers(request, merge)
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
