"""Requests about nets to what the library knows of them; needs no Numba, so that a light client answers them too."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerError, InvalidArgument, ShapeError
from caffe_filler.interface import Interface, current_interface, option_name
from caffe_filler.printable import printable
from caffe_filler.v1 import filler_pb2
from filler_server.api.limits import Limits
from filler_server.api.turns import Caller, Turns
from filler_server.cancellation import checkpoint
from filler_server.fillers import get_filler
from filler_server.net.plan import NetPlan, Shape
from filler_server.net.planner import plan_net
from filler_server.net.size import plan_bytes
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import read_net
from filler_server.prototxt.rewrite import Upgraded, upgrade_text

_LARGE = 32 << 10
"""Bytes of a net from which on it takes its turn: a megabyte keeps the interpreter busy for most of a second."""

_LONGEST_KEPT = 256 << 10
"""Bytes of a request up to which its plan is kept for the next one; beyond, the two take up too much memory."""


_KEPT_BYTES = 32 << 20
"""Bytes of memory, about, of all plans that are kept."""

_REPEATED = 3
"""Copies that a plan has of its names and shapes once it was answered: itself, as a message, and as tensors."""

Plan: TypeAlias = Callable[[filler_pb2.PlanNetRequest, Limits], NetPlan]
"""Plans a net: `plan`, or something that lets it wait for its turn."""

_Key: TypeAlias = tuple[bytes, ReadLimits, int, Interface]
"""Key of a plan: everything that it is made from, its messages included."""


class _KeptPlans:
    """The plans that were used last, by what they were made from: the ranks of a cluster all send the same net."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._plans: OrderedDict[_Key, tuple[NetPlan, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _Key) -> NetPlan | None:
        with self._lock:
            if key not in self._plans:
                return None
            self._plans.move_to_end(key)
            return self._plans[key][0]

    def put(self, key: _Key, made: NetPlan) -> None:
        size = 2 * len(key[0]) + _REPEATED * plan_bytes(made)
        with self._lock:
            if size > self._most_bytes or key in self._plans:
                return
            self._plans[key] = made, size
            self._bytes += size
            while len(self._plans) > self._most or self._bytes > self._most_bytes:
                _, (_, freed) = self._plans.popitem(last=False)
                self._bytes -= freed


_kept = _KeptPlans(8, _KEPT_BYTES)


def plan(
    request: filler_pb2.PlanNetRequest,
    limits: Limits,
    *,
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> NetPlan:
    """Return the plan that a PlanNet asks for.

    Args:
        request: the net, and what it is planned for.
        limits: those of the server.
        turn: what to hold while a plan is made, which is not when it is kept.

    Raises:
        FillerError: the net cannot be read or set up, or is over a limit.
    """
    limits.check("net_bytes", len(request.net))
    if request.ByteSize() > _LONGEST_KEPT:
        with turn():
            return _plan(request, limits)
    key = (
        request.SerializeToString(deterministic=True),
        _read_limits(limits),
        limits.plan_bytes,
        current_interface(),
    )
    planned = _kept.get(key)
    if planned is None:
        with turn():
            planned = _plan(request, limits)
        _kept.put(key, planned)
    return planned


def _plan(request: filler_pb2.PlanNetRequest, limits: Limits) -> NetPlan:
    document = read_net(request.net, limits=_read_limits(limits), strict=request.strict, lenient=request.lenient)
    state = request.state
    return plan_net(
        document,
        phase=state.phase if state.HasField("phase") else None,
        level=state.level if state.HasField("level") else None,
        stages=state.stage,
        inputs=_shapes(request.inputs, "inputs"),
        tops=_shapes(request.tops, "tops"),
        fillers=_fillers(request.fillers),
        strict=request.strict,
        lenient=request.lenient,
        plan_bytes=limits.plan_bytes,
    )


def upgrade(request: filler_pb2.UpgradeNetRequest, limits: Limits) -> Upgraded:
    """Return the file of an UpgradeNet in the current format.

    Raises:
        FillerError: the file cannot be read, or is over a limit.
    """
    limits.check("net_bytes", len(request.file))
    return upgrade_text(request.file, limits=_read_limits(limits), strict=request.strict, lenient=request.lenient)


class Planner:
    """Plans for many callers at once.

    Planning is the interpreter's work, of which there is one for all calls: large nets are planned in turns, so that
    calls that need little of it get it soon.
    """

    def __init__(self, limits: Limits, turns: Turns) -> None:
        self._limits = limits
        self._turns = turns

    def plan(self, request: filler_pb2.PlanNetRequest, caller: Caller) -> NetPlan:
        """Return the plan that a PlanNet asks for; errors are those of `plan`.

        Raises:
            LimitExceeded: too many large nets are being planned, or this one takes too long.
            Cancelled: the caller gave up.
        """
        return plan(request, self._limits, turn=lambda: self._turn(request.ByteSize(), caller))

    def upgrade(self, request: filler_pb2.UpgradeNetRequest, caller: Caller) -> Upgraded:
        """Return the file of an UpgradeNet in the current format; errors are those of `upgrade` and of `plan`."""
        with self._turn(len(request.file), caller):
            return upgrade(request, self._limits)

    @contextmanager
    def _turn(self, nbytes: int, caller: Caller) -> Iterator[None]:
        with self._turns.turn(caller) if nbytes >= _LARGE else nullcontext(), self._limits.metered(nbytes):
            yield


def _read_limits(limits: Limits) -> ReadLimits:
    return ReadLimits(fields=limits.fields, layers=limits.layers, name_length=limits.name_length)


def _fillers(entries: Sequence[filler_pb2.NamedFiller]) -> dict[str, FillerParameter]:
    """Return the named fillers, each of which can fill some blob."""
    fillers: dict[str, FillerParameter] = {}
    for index, entry in enumerate(entries):
        checkpoint()
        try:
            get_filler(entry.filler)
        except FillerError as error:
            raise error.within(f"{option_name('fillers')} {entry.name}", field=f"fillers[{index}].filler") from None
        own = FillerParameter()
        own.CopyFrom(entry.filler)
        # A plan has the filler at each of its blobs, as often as its name fits.
        own.DiscardUnknownFields()
        fillers.setdefault(entry.name, own)
    return fillers


def _shapes(named: Iterable[filler_pb2.NamedShape], field: str) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for entry in named:
        if entry.name in shapes:
            raise InvalidArgument(f"a shape is given once. Received: '{printable(entry.name)}' twice", field=field)
        if any(dim < -1 for dim in entry.shape.dim):
            raise ShapeError(f"a dimension is -1 (unknown) or more. Received: {entry.name}={list(entry.shape.dim)}")
        known = tuple(None if dim == -1 else dim for dim in entry.shape.dim)
        shapes[entry.name] = None if entry.shape.unknown_rank else known
    return shapes
