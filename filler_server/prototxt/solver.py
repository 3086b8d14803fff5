"""The nets that a solver means, in the order in which Caffe makes them (caffe/solver.cpp, `Solver::Init`)."""

from dataclasses import dataclass
from typing import Literal

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument
from caffe_filler.printable import counted
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import DEFAULT_LIMITS

_TRAIN_FIELDS: tuple[Literal["net", "net_param", "train_net", "train_net_param"], ...] = (
    "net",
    "net_param",
    "train_net",
    "train_net_param",
)


@dataclass(frozen=True, slots=True)
class NetChoice:
    """A net that a solver means.

    Attributes:
        field: the solver's field that names or holds it, e.g. `net` or `test_net_param`.
        source: path of its file, as it is written; or the net itself. Caffe opens a path as it is, so a relative one
            starts at the current directory of the process, not at the solver's folder. It brings the net of a file to
            the current format, but not one inside of a solver.
        phase: the phase that it has unless a state says otherwise.
        overrides: what the solver sets of its state (`train_state`, or its `test_state`).
    """

    field: str
    source: str | caffe_pb2.NetParameter
    phase: caffe_pb2.Phase
    overrides: caffe_pb2.NetState

    def state(self, own: caffe_pb2.NetState) -> caffe_pb2.NetState:
        """Return the state in which the solver sets the net up.

        Args:
            own: the state that the net itself brings. It outweighs `phase`; `overrides` outweighs it. Stages of both
                are on.
        """
        state = caffe_pb2.NetState(phase=self.phase)
        state.MergeFrom(own)
        state.MergeFrom(self.overrides)
        return state


@dataclass(frozen=True, slots=True)
class SolverNets:
    """The nets of a solver, which are filled from one unbroken stream: the train net first, then the test nets.

    Attributes:
        train: the train net.
        tests: the test nets.
        seed: the seed of the stream, in [0, 2^32); None if it is seeded at random.
        weights: paths of trained weights, as they are written, that each of the nets is then given in this order; they
            start where those of nets do.
    """

    train: NetChoice
    tests: tuple[NetChoice, ...]
    seed: int | None
    weights: tuple[str, ...] = ()


def solver_nets(solver: caffe_pb2.SolverParameter, *, limits: ReadLimits = DEFAULT_LIMITS) -> SolverNets:
    """Return the nets that a solver means (`InitTrainNet`, `InitTestNets`), without opening any file.

    What `caffe train` has on its command line it writes into the solver beforehand: `--level`, 0 if it is not given,
    to `train_state.level`, and each `--stage` to the end of `train_state.stage`.

    Args:
        solver: the solver.
        limits: `test_nets` is held here.

    Raises:
        InvalidArgument: Caffe refuses the solver, as its nets are missing, or not as many as test_iter or test_state,
            or a path of its weights is empty.
        LimitExceeded: it has more test nets than `test_nets` allows.
    """
    train = _train_net(solver)
    tests = _test_nets(solver, limits)
    seed = solver.random_seed & 0xFFFFFFFF if solver.random_seed >= 0 else None
    return SolverNets(train, tests, seed, _weights(solver))


def _weights(solver: caffe_pb2.SolverParameter) -> tuple[str, ...]:
    """Return the paths in `weights`, of which one string may name several, with commas (`LoadNetWeights`)."""
    paths = tuple(path.strip() for names in solver.weights for path in names.split(","))
    if not all(paths):
        what = "weights of a solver must be paths with commas between them"
        raise InvalidArgument(f"{what}. Received: weights={', '.join(map(repr, solver.weights))}")
    return paths


def _train_net(solver: caffe_pb2.SolverParameter) -> NetChoice:
    given = [field for field in _TRAIN_FIELDS if solver.HasField(field)]
    if len(given) != 1:
        what = f"a solver must specify its train net by exactly one of {', '.join(_TRAIN_FIELDS)}"
        raise InvalidArgument(f"{what}. Received: {', '.join(given) or 'none of them'}")
    return NetChoice(given[0], getattr(solver, given[0]), caffe_pb2.TRAIN, solver.train_state)


def _test_nets(solver: caffe_pb2.SolverParameter, limits: ReadLimits) -> tuple[NetChoice, ...]:
    own: list[tuple[str, str | caffe_pb2.NetParameter]] = [
        *(("test_net_param", net) for net in solver.test_net_param),
        *(("test_net", path) for path in solver.test_net),
    ]
    generic = next((field for field in ("net_param", "net") if solver.HasField(field)), None)
    count = len(solver.test_iter)
    if count < len(own) or (generic is None and count > len(own)):
        what = "test_iter must be specified once for each test_net_param and test_net"
        more = " (with net or net_param it may be more often, for test nets made of that)" if count < len(own) else ""
        raise InvalidArgument(f"{what}{more}. Received: test_iter={counted(count, 'time')}, test nets={len(own)}")
    limits.check("test_nets", count)
    if len(solver.test_state) not in (0, count):
        what = "test_state must be unspecified or specified once per test net"
        raise InvalidArgument(
            f"{what}. Received: test_state={counted(len(solver.test_state), 'time')}, test nets={count}"
        )
    if count and solver.test_interval <= 0:
        what = "test_interval must be positive where there are test nets"
        raise InvalidArgument(f"{what}. Received: test_interval={solver.test_interval}")
    sources = own if generic is None else [*own, *[(generic, getattr(solver, generic))] * (count - len(own))]
    states = solver.test_state or [caffe_pb2.NetState()] * count
    return tuple(
        NetChoice(field, source, caffe_pb2.TEST, state) for (field, source), state in zip(sources, states, strict=True)
    )
