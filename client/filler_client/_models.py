"""A net with its weights as a graph that computes: what is run, exported and verified."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import FillerError, InvalidArgument, WeightsError
from caffe_filler.interface import option
from filler_client._finetune import WeightsLike, weights_paths
from filler_client._input_shapes import own_inputs, plan_with_inputs, telling_shapes
from filler_client._requests import NetLike, NetOptions, PartialShape, Phase

if TYPE_CHECKING:
    from filler_server.models.graph import Graph
    from filler_server.net.plan import NetPlan
    from filler_server.tensors import Tensor
    from filler_server.weights.file import WeightsFile
    from filler_server.weights.merge import UnusedTensor

ModelWeights: TypeAlias = WeightsLike | Mapping[str, NDArray[Any]] | None
"""Paths of files of weights, or arrays by the names of blobs, `<layer>/<index>`; None: those of the net itself."""


class ModelOptions(TypedDict, total=False):
    """Options on which a net that computes depends, besides the net and its weights.

    Attributes:
        phase: TEST (the default) or TRAIN, in any case or as the enum of Caffe's schema.
        level: level of the net's state; 0 by default.
        stages: stages of the net's state, besides its own.
        inputs: shapes of inputs, in place of those of the net; None for a dimension that the net knows.
        tops: names of the tops to compute, also in the middle of the net; by default those that no layer reads. A layer
            that works in place makes a new value of a blob, whose last value has its name; an earlier one is called
            `<blob>@<layer>`.
        deploy: whether losses give way to predictions, and labels and accuracies go, before tops are chosen; see
            `filler_server.models.deploy`.
        fully_convolutional: whether inner products over maps become convolutions, so that larger images can come in.
        reshape: whether weights whose axes are joined or split otherwise are taken.
        strict: what would be a warning is an error.
        lenient: pass over fields and enum values that are plainly misspelled; else they are errors.
    """

    phase: Phase
    level: int
    stages: Sequence[str]
    inputs: Mapping[str, PartialShape] | None
    tops: Sequence[str] | None
    deploy: bool
    fully_convolutional: bool
    reshape: bool
    strict: bool
    lenient: bool


@dataclass(frozen=True, slots=True)
class Model:
    """A net with its weights.

    Attributes:
        plan: the whole net, with what it says of its data.
        graph: the part that computes what is wanted; all that it needs is there.
        path: the file of the net; None where it came from none.
        files: the files of weights.
        unused: the tensors of these that no layer of the net takes.
    """

    plan: "NetPlan"
    graph: "Graph"
    path: Path | None
    files: tuple[Path, ...]
    unused: "tuple[UnusedTensor, ...]"


@contextmanager
def open_model(net: NetLike, weights: ModelWeights = None, **options: Unpack[ModelOptions]) -> Iterator[Model]:
    """Open a net and its weights; the values of its graph can be read as long as the block runs.

    Args:
        net: prototxt text, the bytes or path of a file, or a NetParameter; of a .caffemodel also its weights are taken
            where no others are given.
        weights: files of any format that is read; of several the last one that has a layer counts. Of a net that needs
            none, None.
        options: those of `ModelOptions`.

    Raises:
        NetError: the net cannot be set up, or the shape of an input is not known.
        InvalidArgument: the weights do not fit the net or lack blobs that it needs, or a top is none of the net.
        FillerError: a file cannot be read.
        OSError: likewise.
    """
    from filler_server.models.deploy import deployed
    from filler_server.models.fully_convolutional import fully_convolutional
    from filler_server.models.graph import check, graph, wanted

    tops, deploy, reshape = options.pop("tops", None), options.pop("deploy", False), options.pop("reshape", False)
    convolutional = options.pop("fully_convolutional", False)
    if isinstance(tops, str):
        raise InvalidArgument(f"tops are a sequence of names. Received: tops={tops!r}", field="tops")
    planned: NetOptions = {"phase": "TEST", **options}  # type: ignore[typeddict-item]
    with ExitStack() as files:
        described, opened = opened_weights(net, weights, files)
        own = own_inputs(described, planned)
        with telling_shapes(planned.get("inputs") or {}, own):
            with _in_net(net):
                plan = plan_with_inputs(described, planned, own, deploy=deploy)
                if convolutional:
                    changed = fully_convolutional(plan, _counts(plan, opened), deploy=deploy)
                    plan = plan_with_inputs(changed, planned, own, deploy=deploy)
            tensors, unused = _tensors(plan, opened, reshape=reshape or convolutional)
        with _in_net(net):
            whole = deployed(graph(plan, tensors)) if deploy else graph(plan, tensors)
            part = whole if tops is None else wanted(whole, tops)
            if not opened and any(blob not in part.tensors for node in part.nodes for blob in node.blobs):
                raise InvalidArgument(
                    f"the net has learnable blobs, whose values {option('weights', 'FILE')} gives", field="weights"
                )
            part = check(part)
        path = Path(net) if isinstance(net, os.PathLike) else None
        named = () if isinstance(weights, Mapping) else tuple(file.path for file in opened)
        yield Model(plan, part, path, named, unused)


@contextmanager
def _in_net(net: NetLike) -> Iterator[None]:
    """Name the file of the net in an error that is about it."""
    try:
        yield
    except FillerError as error:
        raise error.in_file(net) if isinstance(net, os.PathLike) else error from None


def opened_weights(net: NetLike, weights: ModelWeights, files: ExitStack) -> "tuple[NetLike, list[WeightsFile]]":
    """Return the net without the weights that it has itself, and the files of weights, open as long as the stack.

    Raises:
        InvalidArgument: arrays among the weights hold anything but floating-point numbers.
        FillerError: a file cannot be read.
        OSError: likewise.
    """
    from filler_server.weights.opening import open_weights

    if isinstance(weights, Mapping):
        return net, [_arrays(weights)]
    if weights is not None:
        return net, [files.enter_context(open_weights(path)) for path in weights_paths(weights)]
    if isinstance(net, os.PathLike):
        try:
            opened = files.enter_context(open_weights(os.fspath(net)))
        except WeightsError:
            # A net without values, or something of which the reader of nets tells better what it is.
            return net, []
        if opened.net is not None and opened.format != "prototxt":
            return opened.net if opened.text is None else opened.text, [opened]
    return net, []


def _arrays(weights: Mapping[str, NDArray[Any]]) -> "WeightsFile":
    """Return arrays as a file that is not called anything."""
    from filler_server.tensors import ArrayTensor
    from filler_server.weights.file import WeightsFile, layers_by_name

    tensors = []
    for name, values in weights.items():
        array = np.asarray(values)
        if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
            raise InvalidArgument(
                f"weights are floating-point numbers. Received: '{name}' of {array.dtype}", field="weights"
            )
        tensors.append(ArrayTensor(name, array))
    return WeightsFile(Path("weights"), "npz", tuple(tensors), layers_by_name(tensors))


def _counts(plan: "NetPlan", files: "list[WeightsFile]") -> dict[str, int]:
    """Return how many values the files have for each blob of a net, whether they fit or not."""
    from filler_server.weights.merge import merge

    merged = merge(plan.layers, files).plan.blobs
    return {blob.name: prod(blob.file_shape) for blob in merged if blob.file_shape is not None}


def _tensors(
    plan: "NetPlan", files: "list[WeightsFile]", *, reshape: bool
) -> "tuple[dict[str, Tensor], tuple[UnusedTensor, ...]]":
    """Return the values of blobs by their names, those in the net itself where no file has others."""
    from filler_server.tensors import ArrayTensor, reshaped
    from filler_server.weights.merge import merge

    given: dict[str, Tensor] = {}
    for blob in plan.blobs:
        if blob.values is not None and blob.owner is None:
            values = blob.values.double_data or blob.values.data
            kind = np.float64 if blob.values.double_data else np.float32
            given[blob.name] = reshaped(ArrayTensor(blob.name, np.array(values, kind)), blob.known_shape or ())
    if not files:
        return given, ()
    merged = merge(plan.layers, files, reshape=reshape)
    if merged.plan.conflicts:
        more = f" (and {len(merged.plan.conflicts) - 1} more)" if len(merged.plan.conflicts) > 1 else ""
        raise InvalidArgument(f"{merged.plan.conflicts[0]}{more}", field="weights")
    if len(merged.plan.missing) == len(merged.plan.blobs) > 0:
        names = ", ".join(str(file.path) for file in files)
        raise InvalidArgument(f"no layer of the net has its weights in {names}", field="weights")
    return {**given, **merged.tensors}, merged.plan.unused
