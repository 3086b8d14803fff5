"""Solvers, and train and test nets that share weights."""

from collections import Counter
from collections.abc import Iterator, Mapping

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import NetPair, SolverFile
from filler_server.net.operations import Operation, Unknown
from filler_server.net.operations.activations import (
    BNLL,
    ELU,
    AbsVal,
    Clip,
    Exp,
    Log,
    Power,
    ReLU,
    Sigmoid,
    Softmax,
    Swish,
    TanH,
    Threshold,
)
from filler_server.net.operations.combination import Eltwise
from filler_server.net.operations.normalization import LRN, MVN, BatchNorm
from filler_server.net.operations.pooling import SPP, Pooling
from filler_server.net.plan import Layer
from filler_server.prototxt.solver import solver_nets
from filler_server.prototxt.tokens import shorten

REFUSED = "FIL050"

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma", "stepvalue"),
    "poly": ("power", "max_iter"),
    "sigmoid": ("gamma", "stepsize"),
}
"""The policies that `SGDSolver::GetLearningRate` knows, and the fields that each reads."""

_FIXED = (
    *(AbsVal, BNLL, Clip, ELU, Exp, Log, Power, ReLU, Sigmoid, Softmax, Swish, TanH, Threshold),
    *(Eltwise, LRN, MVN, Pooling, SPP),
)
"""Operations without weights, of BVLC's Caffe, that compute the same in both phases."""

_TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
_FORK_TYPES = ("AdamW",)


@register(
    "FIL038",
    "no-random-seed",
    "note",
    why="Without random_seed Caffe seeds itself by the clock, so that no run can be repeated.",
    mend="Add random_seed to the solver.",
    scope="solver",
)
def no_random_seed(file: SolverFile) -> Iterator[Hit]:
    """Find a solver that leaves its seed to chance."""
    if file.document.solver.random_seed < 0:
        yield Hit("the solver has no random_seed", path=("random_seed",))


@register(
    "FIL049",
    "learning-rate-policy",
    "warning",
    why="Caffe ends with an error at an unknown lr_policy, and one whose fields are missing makes the rate 0 or NaN, "
    "or leaves it as it is.",
    mend="Take one of fixed, step, exp, inv, multistep, poly and sigmoid, with the fields that it reads.",
    scope="solver",
)
def learning_rate_policy(file: SolverFile) -> Iterator[Hit]:
    """Find a policy that Caffe does not know, or that lacks its fields."""
    solver = file.document.solver
    if not solver.HasField("lr_policy"):
        yield Hit("lr_policy is missing")
    elif solver.lr_policy not in _NEEDS:
        hint = did_you_mean(nearest(solver.lr_policy, _NEEDS))
        yield Hit(f"there is no lr_policy '{shorten(solver.lr_policy)}'{hint}", path=("lr_policy",))
    else:
        missing = [name for name in _NEEDS[solver.lr_policy] if not _is_set(solver, name)]
        if missing:
            message = f"lr_policy '{solver.lr_policy}' needs {' and '.join(missing)}"
            yield Hit(message, path=("lr_policy",), mend=f"Add {' and '.join(missing)}.")


@register(
    "FIL059",
    "unknown-solver-type",
    "error",
    why="Caffe ends with an error at a type of solver that is not registered; it takes case into account.",
    mend=f"Take one of {', '.join(_TYPES[:-1])} and {_TYPES[-1]}.",
    scope="solver",
)
def unknown_solver_type(file: SolverFile) -> Iterator[Hit]:
    """Find a type of solver that neither Caffe nor a fork that is known has."""
    kind = file.document.solver.type
    if kind not in (*_TYPES, *_FORK_TYPES):
        yield Hit(f"there is no solver type '{shorten(kind)}'{did_you_mean(nearest(kind, _TYPES))}", path=("type",))


@register(
    REFUSED,
    "refused-solver",
    "error",
    why="Caffe ends with an error when it makes the nets of this solver.",
    mend="Correct what the message names; paths start at the folder in which Caffe is run.",
    scope="solver",
)
def refused_solver(file: SolverFile) -> Iterator[Hit]:
    """Find solvers whose nets cannot be told; of files that are not there whoever opens them tells."""
    try:
        solver_nets(file.document.solver)
    except FillerError as error:
        yield Hit(error.reason)


@register(
    "FIL039",
    "test-net-of-other-shape",
    "error",
    why="A test net takes the weights of the train net by the names of layers, and Caffe ends with an error where "
    "their shapes differ.",
    mend="Make the layers of one name alike in both.",
    scope="pair",
)
def other_shape(pair: NetPair) -> Iterator[Hit]:
    """Find layers with blobs of other shapes than the layer of the same name in the train net."""
    for index, layer, other in _shared(pair):
        shapes = [(blob.known_shape, its.known_shape) for blob, its in zip(layer.blobs, other.blobs, strict=False)]
        differ = any(own and its and own != its for own, its in shapes)
        if differ or (len(layer.blobs) != len(other.blobs) and not isinstance(other.operation, Unknown)):
            own, its = (", ".join(str(list(blob.shape or ())) for blob in each.blobs) for each in (layer, other))
            yield Hit(f"blobs {own} in TEST, {its} in TRAIN", pair.test.places[index])


@register(
    "FIL040",
    "test-net-computes-otherwise",
    "warning",
    why="A test net that computes something else with the same weights does not test what was trained.",
    mend="Make the layers of one name alike in both.",
    scope="pair",
)
def computes_otherwise(pair: NetPair) -> Iterator[Hit]:
    """Find layers whose settings differ from those of the layer of the same name in the train net.

    They have weights, or are of the kinds without weights that compute the same in both phases.
    """
    for index, layer, other in _namesakes(pair):
        if not (layer.blobs and other.blobs) and not (_is_fixed(layer) and _is_fixed(other)):
            continue
        if isinstance(layer.operation, Unknown) or isinstance(other.operation, Unknown):
            continue
        if layer.type != other.type:
            yield Hit(f"type {layer.type} in TEST, {other.type} in TRAIN", pair.test.places[index])
            continue
        own, its = _settings(layer.operation), _settings(other.operation)
        names = [name for name in own if None not in (own[name], its[name]) and own[name] != its[name]]
        names = [name for name in names if name != "num_output"]
        if names:
            differ = ", ".join(f"{name} {own[name]} in TEST, {its[name]} in TRAIN" for name in names)
            yield Hit(differ, pair.test.places[index])


@register(
    "FIL041",
    "weights-in-test-only",
    "warning",
    why="A layer that the train net does not have keeps the values of its filler for good.",
    mend="Add the layer to the train net, or give it the name that it has there.",
    scope="pair",
)
def weights_in_test_only(pair: NetPair) -> Iterator[Hit]:
    """Find layers with blobs in the test net, of a net that is trained, that have no counterpart in the train net."""
    if not pair.train.training:
        return
    names = {layer.name for layer in pair.train.plan.layers}
    owned = {spec.name for layer in pair.train.plan.layers for spec in layer.parameter.param if spec.name}
    for index, layer in enumerate(pair.test.plan.layers):
        shared = any(spec.name in owned for spec in layer.parameter.param)
        if layer.blobs and layer.name not in names and not shared:
            yield Hit("the train net has no layer of this name", pair.test.places[index], ("name",))


def _shared(pair: NetPair) -> Iterator[tuple[int, Layer, Layer]]:
    """Yield the layers of the test net that have blobs, with their index, and the layers that these come from."""
    return ((index, layer, other) for index, layer, other in _namesakes(pair) if layer.blobs and other.blobs)


def _namesakes(pair: NetPair) -> Iterator[tuple[int, Layer, Layer]]:
    """Yield the layers of the test net, with their index, and those of their names in the train net.

    Names that a net has twice are left out: another rule tells of them.
    """
    by_name = {layer.name: layer for layer in pair.train.plan.layers}
    times = Counter(layer.name for net in (pair.train, pair.test) for layer in net.plan.layers)
    for index, layer in enumerate(pair.test.plan.layers):
        other = by_name.get(layer.name)
        if other is not None and times[layer.name] == 2:
            yield index, layer, other


def _is_fixed(layer: Layer) -> bool:
    return not layer.blobs and isinstance(layer.operation, _FIXED)


def _settings(operation: Operation) -> dict[str, object]:
    """Return the attributes that do not depend on the phase."""
    without = ("use_global_stats", "moving_average_fraction") if isinstance(operation, BatchNorm) else ("random",)
    if isinstance(operation, Pooling) and operation.global_pooling:
        # It is the extent of the input, which a test net may have at another size.
        without = (*without, "kernel")
    return {name: value for name, value in operation.attributes().items() if name not in without}


def _is_set(solver: caffe_pb2.SolverParameter, name: str) -> bool:
    field = solver.DESCRIPTOR.fields_by_name[name]
    return len(getattr(solver, name)) > 0 if field.is_repeated else bool(getattr(solver, name))
