"""Values of blobs held against what their fillers promise."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias, Unpack

from caffe_filler import dtypes
from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.interface import option, option_name
from caffe_filler.v1 import filler_pb2
from filler_client import _finetune
from filler_client._client import FillerClient
from filler_client._embedded import needs_numba
from filler_client._finetune import FinetuneOptions
from filler_client._models import ModelWeights, opened_weights
from filler_client._options import takes_options
from filler_client._received import received_tensors
from filler_client._requests import NetLike

if TYPE_CHECKING:
    from filler_server.diagnostics.statistics.checked import Checked
    from filler_server.diagnostics.statistics.result import CheckedBlob, Expected
    from filler_server.net.plan import NetPlan
    from filler_server.tensors import Advance, Tensor
    from filler_server.weights.file import WeightsFile

    Watch: TypeAlias = Callable[[str, Tensor], Tensor]
    """Returns a tensor to read in place of that of a blob."""

_OF_FILLING = ("seed", "dtype", "stream", "data_draws", "before")


@takes_options(FinetuneOptions)
def check(
    net: NetLike | None = None,
    weights: ModelWeights = None,
    *,
    significance: float = 0.001,
    expected: "Expected" = "initial",
    reshape: bool = False,
    client: FillerClient | None = None,
    advance: "Advance | None" = None,
    **options: Unpack[FinetuneOptions],
) -> "Checked":
    """Hold the blobs of a net, or of files of weights, against what their fillers promise.

    Values drawn at random are tested for mean, variance and distribution function (Kolmogorov and Smirnov's distance at
    the edges of a histogram, which is at most `error` less than over all values). Others are held against what defines
    them: values that are not random one by one, rows of `positive_unitball` by their sums, matrices of `orthogonal` by
    their orthonormal rows or columns. The probabilities of all tests of all blobs are corrected together by Holm's
    method. Each value is read once, and memory does not grow with the weights. Needs the extra `server`.

    Args:
        net: prototxt text, the bytes or path of a file, or a NetParameter; of a .caffemodel its weights are checked
            where no others are given. None: the net that the file of weights describes, or none, and then nothing is
            promised.
        weights: paths of files of weights of any format, of which later ones count before earlier ones; or arrays by
            the names of blobs. None: those that the fillers of the net make.
        significance: probability that any blob whose promise holds is said to have moved.
        expected: initial: every blob is to be as its filler promises; trained: none is to be broken, and those that are
            drawn at random and learned are to have moved.
        reshape: whether weights whose axes are joined or split otherwise are taken.
        client: makes the weights where no files have them; by default this process.
        advance: is told the bytes of each step and the tensor that they belong to.
        options: those of `NetOptions`, and where no weights are given seed, dtype, stream, data_draws and before.

    Returns:
        Figures and verdict of each blob, and the verdict over all: `passed`. It shows as a table.

    Raises:
        InvalidArgument: neither net nor weights are given, an argument cannot be what it should, or options of filling
            are given with weights.
        FillerError: one of the tree in `caffe_filler.errors`.
        OSError: a file cannot be read.

    Example:
        >>> found = check('layer { name: "a" type: "Parameter" top: "a" parameter_param { shape { dim: 9 } } }')
        >>> found.passed, found["a/0"].state, found["a/0"].findings
        (True, 'initial', ())
    """
    return check_watched(
        net,
        weights,
        None,
        significance=significance,
        expected=expected,
        reshape=reshape,
        client=client,
        advance=advance,
        **options,
    )


def check_watched(
    net: NetLike | None,
    weights: ModelWeights,
    watch: "Watch | None",
    *,
    significance: float = 0.001,
    expected: "Expected" = "initial",
    reshape: bool = False,
    client: FillerClient | None = None,
    advance: "Advance | None" = None,
    **options: Unpack[FinetuneOptions],
) -> "Checked":
    """Do as `check`, while each tensor is read as what `watch` returns for it and the name of its blob."""
    if not (isinstance(significance, float) and 0 < significance < 1):
        raise InvalidArgument(
            f"{option_name('significance')} is a probability between 0 and 1. Received: {significance!r}",
            field="significance",
        )
    if expected not in ("initial", "trained"):
        raise InvalidArgument(
            f"weights are expected to be initial or trained. Received: {expected!r}", field="expected"
        )
    with ExitStack() as files, needs_numba("looking at weights", ""):
        described, opened = _sources(net, weights, files)
        if opened and (given := [name for name in _OF_FILLING if name in options]):
            names = ", ".join(option_name(name) for name in given)
            raise InvalidArgument(f"the values are those of the weights, and not filled: leave out {names}")
        if described is None:
            return _tensors_checked(opened, watch, significance, expected, advance)
        try:
            request = _finetune.fill_request(described, **options)
            plan = _finetune.local_plan(request.net)
        except FillerError as error:
            raise error.in_file(net) if isinstance(net, os.PathLike) else error from None
        if opened:
            return _weights_checked(plan, opened, watch, significance, expected, reshape, advance)
        if client is None:
            client = files.enter_context(FillerClient.embedded())
        return _filled_checked(plan, request, client, watch, significance, expected, advance)


def _sources(
    net: NetLike | None, weights: ModelWeights, files: ExitStack
) -> "tuple[NetLike | None, list[WeightsFile]]":
    """Return the net, if any tells what fills the blobs, and the files of weights, open as long as the stack."""
    if net is not None:
        return opened_weights(net, weights, files)
    if weights is None:
        raise InvalidArgument(f"neither a net nor {option('weights', 'FILE')} is given: there is nothing to check")
    _, opened = opened_weights(b"", weights, files)
    if len(opened) != 1:
        raise InvalidArgument(
            f"several files of weights need their net. Received: {len(opened)} files", field="weights"
        )
    return opened[0].net, opened


def _tensors_checked(
    opened: "list[WeightsFile]",
    watch: "Watch | None",
    significance: float,
    expected: "Expected",
    advance: "Advance | None",
) -> "Checked":
    from filler_server.diagnostics.statistics.checked import Checked
    from filler_server.diagnostics.statistics.net import look_at_tensors

    (file,) = opened
    return Checked(
        str(file.path),
        significance,
        expected,
        look_at_tensors(
            (tensor for _, tensor in _watched(((tensor.name, tensor) for tensor in file.tensors), watch)),
            significance=significance,
            advance=advance,
        ),
        notes=("no net tells what fills the blobs, and so nothing is promised of them",),
        warnings=file.problems,
    )


def _weights_checked(
    plan: "NetPlan",
    opened: "list[WeightsFile]",
    watch: "Watch | None",
    significance: float,
    expected: "Expected",
    reshape: bool,
    advance: "Advance | None",
) -> "Checked":
    from filler_server.diagnostics.statistics.checked import Checked
    from filler_server.diagnostics.statistics.net import check_blobs, unseen_blob
    from filler_server.weights.merge import merge

    merged = merge(plan.layers, opened, reshape=reshape)
    blobs = {blob.name: blob for blob in plan.blobs}
    tensors = [
        (name, tensor)
        for name, tensor in merged.tensors.items()
        if blobs[name].owner is None or blobs[name].owner not in merged.tensors
    ]
    found = check_blobs(
        plan.layers,
        _watched(tensors, watch),
        significance=significance,
        is_filled=False,
        missing={
            entry.name: unseen_blob(blobs[entry.name], "conflict")
            for entry in merged.plan.blobs
            if entry.action == "conflict"
        },
        advance=advance,
    )
    return Checked(
        f"{plan.name or 'net'} ({plan.phase}), weights of {', '.join(str(file.path) for file in opened)}",
        significance,
        expected,
        found,
        unused=tuple((tensor.name, tensor.shape) for tensor in merged.plan.unused),
        notes=(*merged.plan.conflicts, *_lacking(plan)),
        warnings=(*plan.warnings, *(problem for file in opened for problem in file.problems)),
    )


def _filled_checked(
    plan: "NetPlan",
    request: filler_pb2.FillNetRequest,
    client: FillerClient,
    watch: "Watch | None",
    significance: float,
    expected: "Expected",
    advance: "Advance | None",
) -> "Checked":
    from filler_server.diagnostics.statistics.checked import Checked
    from filler_server.diagnostics.statistics.net import check_blobs

    unfilled: dict[str, CheckedBlob] = {}
    if request.stream == filler_pb2.PHILOX:
        unfilled = _unfilled(plan)
        wanted = [blob for blob in plan.blobs if blob.owner is None and blob.name not in unfilled]
        for blob in wanted:
            request.blobs.add(name=blob.name)
    else:
        # In one stream every blob needs all that stand before it.
        wanted = list(plan.blobs)
        if any(blob.known_shape is None for blob in wanted):
            next(client.pieces(request))
    shapes = [(blob.name, blob.known_shape or ()) for blob in wanted]
    received = received_tensors(request, shapes, lambda part: client.pieces(part, plan=plan)) if wanted else []
    tensors = _owned(plan, received, advance)
    found = check_blobs(
        plan.layers,
        _watched(tensors, watch),
        significance=significance,
        is_filled=True,
        missing=unfilled,
        advance=advance,
    )
    stream = filler_pb2.RandomStream.Name(request.stream).lower().replace("_", "-", 1).replace("_", ".")
    filled = f"filled with seed {request.seed}, {stream}, {dtypes.from_wire(request.dtype)}"
    source = f"{plan.name or 'net'} ({plan.phase}), {filled}"
    return Checked(source, significance, expected, found, notes=_lacking(plan), warnings=plan.warnings)


def _watched(tensors: "Iterable[tuple[str, Tensor]]", watch: "Watch | None") -> "Iterable[tuple[str, Tensor]]":
    """Return the tensors as they are to be read."""
    return tensors if watch is None else ((name, watch(name, tensor)) for name, tensor in tensors)


def _lacking(plan: "NetPlan") -> tuple[str, ...]:
    """Return what to tell of a net without fillers."""
    if not any(True for _ in plan.blobs) or any(layer.has_filler and layer.blobs for layer in plan.layers):
        return ()
    return ("no layer has a filler: what is promised are the zeros that Caffe fills in then",)


def _unfilled(plan: "NetPlan") -> "dict[str, CheckedBlob]":
    """Return the blobs that cannot be filled, with the reason."""
    from filler_server.diagnostics.statistics.net import unseen_blob
    from filler_server.fillers import get_filler

    found = {}
    for blob in plan.blobs:
        if blob.owner is not None or blob.given:
            continue
        shape = blob.known_shape
        if shape is None:
            found[blob.name] = unseen_blob(blob, "unknown", blob.unknown or "its shape is not known")
            continue
        try:
            get_filler(blob.filler).check(shape)
        except FillerError as error:
            found[blob.name] = unseen_blob(blob, "unknown", str(error))
    return found


def _owned(plan: "NetPlan", tensors: "Iterable[Tensor]", advance: "Advance | None") -> "Iterator[tuple[str, Tensor]]":
    """Yield the tensors of blobs that own their values; the others are passed over in their order."""
    owners = {blob.name for blob in plan.blobs if blob.owner is None}
    for tensor in tensors:
        if tensor.name in owners:
            yield tensor.name, tensor
            continue
        for block in tensor.blocks():
            if advance is not None:
                advance(block.nbytes, tensor.name)
