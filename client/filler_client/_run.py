"""A net that computes, in this process."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caffe_filler import dtypes
from caffe_filler.dtypes import DTypeLike
from caffe_filler.errors import InvalidArgument, NetError
from caffe_filler.interface import either, option
from filler_client._models import Model, ModelOptions, ModelWeights, open_model
from filler_client._requests import NetLike, PartialShape, Phase, check_seed

if TYPE_CHECKING:
    from filler_server.models.graph import Graph

InputLike: TypeAlias = ArrayLike | tuple[int | None, ...]
"""Values of an input, or its shape as a tuple, of which a seed draws the values."""


def run(
    net: NetLike,
    weights: ModelWeights = None,
    inputs: Mapping[str, InputLike] | None = None,
    tops: Sequence[str] | None = None,
    phase: Phase = "TEST",
    dtype: DTypeLike = "float32",
    *,
    random: int | None = None,
    deploy: bool = False,
    reshape: bool = False,
    level: int = 0,
    stages: Sequence[str] = (),
    strict: bool = False,
    lenient: bool = False,
) -> dict[str, NDArray[Any]]:
    """Return the tops of a net, computed with NumPy as Caffe defines its layers.

    It is a reference: plain rather than fast, in memory that holds the values which later layers need. Recurrent layers
    start from a state of 0.

    Args:
        net: prototxt text, the bytes or path of a file, or a NetParameter; of a .caffemodel also its weights are taken
            where no others are given.
        weights: paths of files of weights of any format, of which later ones count before earlier ones; or arrays by
            the names of blobs, `<layer>/<index>`. None for a net without learnable blobs, or one that has them itself.
        inputs: values by the names of inputs, of any dtype of numbers; NaN is a number. An array also tells its shape,
            in place of the net's. A tuple is a shape, of which `random` draws the values.
        tops: names of the tops to compute, also in the middle of the net; by default those that no layer reads. The
            last value of a blob that layers change in place has its name, an earlier one is `<blob>@<layer>`.
        phase: TEST or TRAIN; layers that draw random numbers in TRAIN are refused.
        dtype: float32 or float64, in which all is computed.
        random: seed for inputs without values. They are drawn standard normal, or among the labels, indices or regions
            that there are where a layer takes them as such. None: a missing input is an error.
        deploy: whether losses give way to predictions, and labels and accuracies go, before tops are chosen.
        reshape: whether weights whose axes are joined or split otherwise are taken.
        level: level of the net's state.
        stages: stages of the net's state, besides its own.
        strict: what would be a warning is an error.
        lenient: pass over fields and enum values that are plainly misspelled; else they are errors.

    Returns:
        The tops by their names, in the order asked for or that of the net, as arrays of the dtype; labels and indices,
        too.

    Raises:
        InvalidArgument: an input is missing, has another shape or no numbers; the weights do not fit the net or lack
            blobs that it needs; a top is none of the net.
        NetError: the net cannot be set up, or layers cannot be computed, all of which are named.
        LimitExceeded: the values would take more memory than there is.
        FillerError: a file cannot be read.
        OSError: likewise.

    Example:
        prob = run(Path("deploy.prototxt"), "net.caffemodel", {"data": image})["prob"]
    """
    arrays, shapes = split_inputs(inputs or {})
    options: ModelOptions = {
        "inputs": shapes,
        "tops": tops,
        "phase": phase,
        "deploy": deploy,
        "reshape": reshape,
        "level": level,
        "stages": stages,
        "strict": strict,
        "lenient": lenient,
    }
    with open_model(net, weights, **options) as model:
        return compute(model, arrays, dtype=dtype, random=random)


def compute(
    model: Model, inputs: Mapping[str, NDArray[Any]], *, dtype: DTypeLike = "float32", random: int | None = None
) -> dict[str, NDArray[Any]]:
    """Return the tops of a model that is open; arguments and errors are those of `run`.

    Args:
        model: the model, planned with the shapes of the inputs.
        inputs: values by the names of inputs, of which it needs some.
        dtype: float32 or float64.
        random: seed for the inputs that have no values.
    """
    from filler_server.models.reference.evaluation import evaluate
    from filler_server.models.samples import sample_inputs
    from filler_server.models.sources import constant_inputs

    kind = dtypes.parse(dtype)
    if kind not in (np.float32, np.float64):
        raise InvalidArgument(f"a net computes in float32 or float64. Received: dtype={kind}", field="dtype")
    seed = None if random is None else check_seed(random)
    values = {**constant_inputs(model.plan), **inputs}
    if seed is not None:
        values = {**sample_inputs(model.graph, np.random.default_rng(seed)), **values}
    _check_complete(model.graph, values)
    blobs = {value: blob for blob, value in model.graph.finals.items()}
    try:
        return {blobs.get(name, name): top for name, top in evaluate(model.graph, values, kind).items()}
    except NetError as error:
        raise error if model.path is None else error.in_file(model.path) from None


def split_inputs(
    inputs: Mapping[str, InputLike],
) -> tuple[dict[str, NDArray[Any]], dict[str, PartialShape]]:
    """Return the arrays among inputs, and the shapes of all.

    Raises:
        InvalidArgument: an input holds anything but numbers.
    """
    arrays: dict[str, NDArray[Any]] = {}
    shapes: dict[str, PartialShape] = {}
    for name, given in inputs.items():
        if isinstance(given, tuple):
            shapes[name] = given
            continue
        try:
            array = np.asarray(given)
        except ValueError as error:
            raise InvalidArgument(f"input '{name}' is no array: {error}", field="inputs") from None
        if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
            raise InvalidArgument(f"input '{name}' holds numbers. Received: dtype={array.dtype}", field="inputs")
        arrays[name], shapes[name] = array, array.shape
    return arrays, shapes


def read_array(name: str, path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the array of a .npy file, a view of it where it can be.

    Args:
        name: the input that it is for.
        path: the file.

    Raises:
        InvalidArgument: it is no .npy of numbers.
        FillerError: it is damaged.
        OSError: it cannot be read.
    """
    from filler_server.weights.opening import open_weights

    with open_weights(Path(path)) as file:
        if file.format != "npy":
            raise InvalidArgument(
                f"the values of an input are one array in a .npy file. Received: {name}={path}, {file.format}",
                field="inputs",
            )
        return file.tensors[0].array()


def _check_complete(graph: "Graph", values: Mapping[str, object]) -> None:
    """Refuse inputs without values.

    Raises:
        InvalidArgument: naming them, and what would give them.
    """
    missing = [name for name in graph.inputs if name not in values]
    if not missing:
        return
    listed = ", ".join(f"'{name}'" for name in missing)
    first = missing[0]
    gives = either(python=f"inputs={{{first!r}: array}}", cli=f"--input {first}=FILE.npy")
    raise InvalidArgument(
        f"no values for input{'s' if len(missing) > 1 else ''} {listed}: {gives} gives them, "
        f"{option('random', 1)} draws them; {option('deploy')} leaves out what only losses and accuracies need",
        field="inputs",
    )
