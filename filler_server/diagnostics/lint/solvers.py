"""Solvers, and train and test nets that share weights."""

from collections import Counter
from collections.abc import Iterator, Mapping

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import NetPair, SolverFile
from filler_server.net.operations import Operation, Unknown
from filler_server.net.operations.normalization import BatchNorm
from filler_server.net.plan import Layer
from filler_server.prototxt.solver import solver_nets

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
        yield Hit(f"there is no lr_policy '{solver.lr_policy}'", path=("lr_policy",))
    else:
        missing = [name for name in _NEEDS[solver.lr_policy] if not _is_set(solver, name)]
        if missing:
            message = f"lr_policy '{solver.lr_policy}' needs {' and '.join(missing)}"
            yield Hit(message, path=("lr_policy",), mend=f"Add {' and '.join(missing)}.")


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
    """Find layers with weights whose settings differ from those of the layer of the same name in the train net."""
    for index, layer, other in _shared(pair):
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
    """Yield the layers of the test net that have blobs, with their index, and the layers that these come from.

    Names that a net has twice are left out: another rule tells of them.
    """
    by_name = {layer.name: layer for layer in pair.train.plan.layers}
    times = Counter(layer.name for net in (pair.train, pair.test) for layer in net.plan.layers)
    for index, layer in enumerate(pair.test.plan.layers):
        other = by_name.get(layer.name)
        if layer.blobs and other is not None and other.blobs and times[layer.name] == 2:
            yield index, layer, other


def _settings(operation: Operation) -> dict[str, object]:
    """Return the attributes that do not depend on the phase."""
    without = ("use_global_stats", "moving_average_fraction") if isinstance(operation, BatchNorm) else ("random",)
    return {name: value for name, value in operation.attributes().items() if name not in without}


def _is_set(solver: caffe_pb2.SolverParameter, name: str) -> bool:
    field = solver.DESCRIPTOR.fields_by_name[name]
    return len(getattr(solver, name)) > 0 if field.is_repeated else bool(getattr(solver, name))
