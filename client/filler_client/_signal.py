"""Signal of a net before any training: in theory, or simulated with PyTorch."""

from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from caffe_filler.errors import InvalidArgument, Unavailable
from caffe_filler.interface import option
from caffe_filler.v1 import filler_pb2
from filler_client import _requests
from filler_client._backend import Fill
from filler_client._requests import NetLike, NetOptions, PartialShape, Stream

if TYPE_CHECKING:
    from filler_server.diagnostics.signal.report import SignalReport
    from filler_server.net.plan import NetPlan

Plan: TypeAlias = "Callable[[filler_pb2.PlanNetRequest], NetPlan]"
"""Plans a net."""

_MOST_SEEDS = 10_000


class SignalOptions(NetOptions, total=False):
    """Options on which the signal of a net depends, besides the net.

    Attributes:
        batch: number of samples, in place of the net's; the first axis of each input.
        mean: mean of the inputs that are plain numbers; 0 by default.
        std: their standard deviation; 1 by default.
        simulate: whether to run the net with PyTorch (extra `torch`) rather than to reckon.
        seeds: how many seeds to simulate, 1, 2, ...; 5 by default.
        stream: random numbers of simulated weights. By default those of Caffe, so that they are the ones that Caffe
            starts from with that random_seed; philox for a net with fillers that no Caffe has.
    """

    batch: int | None
    mean: float
    std: float
    simulate: bool
    seeds: int
    stream: Stream


def signal(plan: Plan, fill: Fill, net: NetLike, options: SignalOptions) -> "SignalReport":
    """Return the signal of a net; errors are those of `FillerClient.signal`.

    Args:
        plan: plans a net.
        fill: fills it.
        net: the net.
        options: the options.
    """
    from filler_server.diagnostics.signal.analysis import signal as analyze
    from filler_server.diagnostics.signal.data import InputStatistics

    settled = options.copy()
    batch, simulate, seeds = settled.pop("batch", None), settled.pop("simulate", False), settled.pop("seeds", 5)
    stream = settled.pop("stream", None)
    inputs = InputStatistics(_number("mean", settled.pop("mean", 0.0)), _number("std", settled.pop("std", 1.0)))
    if inputs.std < 0:
        raise InvalidArgument(f"a standard deviation is not negative. Received: {option('std', inputs.std)}")
    _whole("seeds", seeds, _MOST_SEEDS)
    planned: NetOptions = settled
    source = _requests.net_bytes(net)
    made = plan(_requests.plan_request(source, **planned))
    if batch is not None:
        _whole("batch", batch, 2**31 - 1)
        planned["inputs"] = _with_batch(made, batch, planned.get("inputs"))
        made = plan(_requests.plan_request(source, **planned))
    if not simulate:
        return analyze(made, inputs)
    try:
        from filler_client.torch._signal import simulated
    except ModuleNotFoundError as error:
        raise Unavailable(f"simulating needs {error.name}: pip install 'caffe-filler[torch]'") from None
    stream = _stream(made) if stream is None else stream
    return simulated(made, source, planned, partial(fill, stream=stream), inputs, seeds)


def _stream(plan: "NetPlan") -> Stream:
    """Return the stream of Caffe, or philox where it has no numbers for a filler."""
    from filler_server.fillers import registered

    known = registered()
    filled = (blob.filler.type for blob in plan.blobs if blob.owner is None and not blob.given)
    return "caffe" if all(name in known and known[name].in_caffe for name in filled) else "philox"


def _with_batch(plan: "NetPlan", batch: int, given: Mapping[str, PartialShape] | None) -> dict[str, PartialShape]:
    """Return the shapes of all inputs of a net with another number of samples."""
    shapes: dict[str, PartialShape] = dict(given or {})
    for value in plan.inputs:
        top = plan.top(value)
        if top.shape:
            shapes[top.name] = batch, *top.shape[1:]
    return shapes


def _number(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise InvalidArgument(f"{name} is a finite number. Received: {option(name, value)}", field=name)
    return float(value)


def _whole(name: str, value: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidArgument(f"{name} is a whole number from 1 to {most}. Received: {option(name, value)}", field=name)
