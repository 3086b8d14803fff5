"""Event files for TensorBoard: a histogram of each blob, its mean and deviation, and the signal of the net."""

import re
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log10

import numpy as np

from caffe_filler.errors import Unavailable
from caffe_filler.printable import printable
from filler_server.diagnostics.report.contents import Contents, Weights
from filler_server.diagnostics.signal.report import SignalReport

FILE = "events.out.tfevents.filler"
_BINS = 64
_LARGEST = 3e38
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram of the finite values of a blob, or of a sample of them.

    Attributes:
        tag: its name in TensorBoard.
        edges: ends of the intervals, one more than there are.
        counts: number of values in each.
        total, squares: sums of the values and of their squares.
    """

    tag: str
    edges: Sequence[float]
    counts: Sequence[int]
    total: float
    squares: float


@dataclass(frozen=True, slots=True)
class Run:
    """A run in TensorBoard: a set of weights.

    Attributes:
        name: of its folder.
        histograms: those of the blobs.
        scalars: tag, step and value of each number.
    """

    name: str
    histograms: Sequence[Histogram]
    scalars: Sequence[tuple[str, int, float]]


def runs(contents: Contents) -> tuple[Run, ...]:
    """Return a run for each set of weights; the signal stands in that of the first."""
    found: dict[str, Run] = {}
    for number, weights in enumerate(contents.weights, 1):
        name = _UNSAFE.sub("_", weights.label).strip(".")[:80] or "weights"
        name = f"{name}-{number}" if name.casefold() in map(str.casefold, found) else name
        histograms = [made for blob, sample in weights.samples.items() if (made := _histogram(blob, sample.spread))]
        signal = _signal(contents.signal) if number == 1 and contents.signal is not None else []
        found[name] = Run(name, histograms, [*_figures(weights), *signal])
    return tuple(found.values())


def _histogram(blob: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Histogram | None:
    finite = values[np.isfinite(values)]
    # Squares, and the distance between the ends, are to be numbers as well.
    if not finite.size or np.abs(finite).max() > _LARGEST:
        return None
    low, high = float(finite.min()), float(finite.max())
    edges = np.linspace(low, high, _BINS + 1)
    if (np.diff(edges) <= 0).any():
        # Equal values, or nearly so, are one interval.
        edges = np.array([np.nextafter(low, -np.inf), high])
    counts = np.histogram(finite, edges)[0]
    total, squares = float(finite.sum()), float(finite @ finite)
    return Histogram(f"values/{printable(blob)}", edges.tolist(), counts.tolist(), total, squares)


def _figures(weights: Weights) -> Iterator[tuple[str, int, float]]:
    for blob in weights.checked.blobs:
        for name in ("mean", "std"):
            value = None if blob.figures is None else getattr(blob.figures, name)
            if value is not None and abs(value) < _LARGEST:
                yield f"{name}/{printable(blob.name)}", 0, value


def _signal(report: SignalReport) -> Iterator[tuple[str, int, float]]:
    """Yield mean squares, at the number of the value in place of a step, so that they make a line over the layers.

    They are logarithms to base 10, as TensorBoard's numbers end where float32 does.
    """
    for name in ("mean_square", "gradient_mean_square"):
        for number, value in enumerate(report.values, 1):
            size = getattr(value, name)
            if size:
                yield f"signal/log10_{name}", number, log10(size)


def check_available() -> None:
    """Raise an error if files for TensorBoard cannot be written.

    Raises:
        Unavailable: tensorboardX is not installed.
    """
    try:
        import tensorboardX  # noqa: F401
    except ModuleNotFoundError as error:
        raise Unavailable(f"TensorBoard's files need {error.name}: pip install 'caffe-filler[tensorboard]'") from None


def event_file(run: Run) -> bytes:
    """Return the file of a run.

    Raises:
        Unavailable: tensorboardX is not installed.
    """
    check_available()
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import HistogramProto, Summary

    now = time.time()
    events = [Event(wall_time=now, file_version="brain.Event:2")]
    for made in run.histograms:
        # An interval has its upper end; the one before the first is empty.
        proto = HistogramProto(
            min=made.edges[0],
            max=made.edges[-1],
            num=sum(made.counts),
            sum=made.total,
            sum_squares=made.squares,
            bucket_limit=made.edges,
            bucket=[0, *made.counts],
        )
        events.append(Event(wall_time=now, summary=Summary(value=[Summary.Value(tag=made.tag, histo=proto)])))
    for tag, step, number in run.scalars:
        value = Summary.Value(tag=tag, simple_value=number)
        events.append(Event(wall_time=now, step=step, summary=Summary(value=[value])))
    return b"".join(_record(event.SerializeToString()) for event in events)


def _record(data: bytes) -> bytes:
    """Return a record of TensorFlow: length, data, and a checksum of each."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))
