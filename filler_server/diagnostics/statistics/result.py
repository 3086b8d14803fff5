"""A verdict over the blobs of a net or of a file of weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from caffe_filler.printable import counted, printable
from filler_server.diagnostics.statistics.blob import Looked
from filler_server.diagnostics.statistics.figures import Figures
from filler_server.diagnostics.statistics.judgement import ChanceTest, Promised
from filler_server.diagnostics.statistics.significance import holm
from filler_server.prototxt.report import Problem

State: TypeAlias = Literal[
    "initial", "moved", "broken", "shared", "given", "measured", "missing", "conflict", "unknown"
]
Expected: TypeAlias = Literal["initial", "trained"]

_FAILING: dict[Expected, frozenset[State]] = {
    "initial": frozenset(("moved", "broken", "missing", "conflict", "unknown")),
    "trained": frozenset(("broken", "missing", "conflict", "unknown")),
}


@dataclass(frozen=True, slots=True)
class CheckedBlob:
    """A blob held against what its filler promises.

    Attributes:
        name: `<layer>/<index>`, or the name of a tensor that belongs to no layer.
        shape: its shape, with None where it is not known.
        state: initial: as its filler promises; moved: not so; broken: with values that are infinite or no numbers;
            shared: the values of its owner, which is judged; given: the values that the prototxt holds; measured:
            nothing is promised; missing: the file lacks it; conflict: the file has it in another shape; unknown: it
            could not be made, for the reason in `notes`.
        filler: what fills it, as prototxt in one line; empty where no net tells.
        owner: name of the blob whose values it shares.
        dtype: of the values; None where there are none. So with the figures that follow.
        fan_in, fan_out: as Caffe counts them.
        figures: over the values.
        promised: what the filler promises.
        tests: tests of the promise by chance.
        probability: the smallest probability of the tests, corrected for the number of all tests of all blobs.
        findings: what is striking in the values, each in a few words.
        notes: why it is moved, and what could not be judged, as sentences.
        zero_channels, repeated_channels: number of output channels of zeros, and of those equal to an earlier one.
        is_learned: whether training should change it: it is drawn at random, and its lr_mult is not 0.
    """

    name: str
    shape: tuple[int | None, ...] | None
    state: State
    filler: str = ""
    owner: str | None = None
    dtype: str | None = None
    fan_in: int | None = None
    fan_out: int | None = None
    figures: Figures | None = None
    promised: Promised | None = None
    tests: tuple[ChanceTest, ...] = ()
    probability: float | None = None
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    zero_channels: int = 0
    repeated_channels: int = 0
    is_learned: bool = False

    def test(self, name: str) -> ChanceTest | None:
        """Return the test of a name: mean, variance, distribution or zeros; None where it was not made."""
        return next((test for test in self.tests if test.name == name), None)

    def __repr__(self) -> str:
        findings = "".join(f", {finding}" for finding in self.findings)
        return printable(f"CheckedBlob({self.name!r}, {self.shape}, {self.state}{findings})")


@dataclass(frozen=True, slots=True)
class Result:
    """Blobs that have been held against their fillers; `Checked` says what its attributes are."""

    source: str
    significance: float
    expected: Expected
    blobs: tuple[CheckedBlob, ...]
    unused: tuple[tuple[str, tuple[int, ...]], ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def failing(self) -> tuple[CheckedBlob, ...]:
        """The blobs that are not as expected."""
        return tuple(blob for blob in self.blobs if self._fails(blob))

    @property
    def passed(self) -> bool:
        """Whether all blobs are as expected."""
        return not self.failing

    @property
    def tests(self) -> int:
        """Number of tests by chance, for which their probabilities are corrected by Holm's method."""
        return sum(len(blob.tests) for blob in self.blobs)

    def __getitem__(self, name: str) -> CheckedBlob:
        """Return the blob of a name; KeyError where there is none."""
        for blob in self.blobs:
            if blob.name == name:
                return blob
        raise KeyError(name)

    def _fails(self, blob: CheckedBlob) -> bool:
        still = self.expected == "trained" and blob.is_learned and blob.state == "initial"
        return still or blob.state in _FAILING[self.expected]


@dataclass(frozen=True, slots=True)
class Seen:
    """A blob after the pass over its values, before all tests are corrected for their number.

    Attributes:
        blob: what is known of it; its state counts unless it is `measured` and there is a judgement.
        looked: the findings of the pass.
        zero_share, is_varied: of its judge; see `judgement.Judge`.
        channels: number of output channels and values of each.
    """

    blob: CheckedBlob
    looked: Looked | None = None
    zero_share: float = 1.0
    is_varied: bool = False
    channels: tuple[int, int] = (0, 0)


def conclude(seen: Sequence[Seen], significance: float) -> tuple[CheckedBlob, ...]:
    """Return the blobs with their states, those of the tests by Holm's method over all of them."""
    probabilities = [test.probability for entry in seen for test in _tests(entry)]
    corrected = iter(holm(probabilities))
    return tuple(_concluded(entry, [next(corrected) for _ in _tests(entry)], significance) for entry in seen)


def _tests(entry: Seen) -> tuple[ChanceTest, ...]:
    judgement = None if entry.looked is None else entry.looked.judgement
    return () if judgement is None else judgement.tests


def _concluded(entry: Seen, corrected: list[float], significance: float) -> CheckedBlob:
    blob, looked = entry.blob, entry.looked
    if looked is None:
        return blob
    figures, judgement = looked.figures, looked.judgement
    notes = list(blob.notes)
    state = blob.state
    is_patterned = judgement is not None and entry.zero_share == 1.0 and not entry.is_varied
    if judgement is not None:
        faults = [
            *judgement.faults,
            *_channel_faults(entry, looked),
            *_improbable(judgement.tests, corrected, significance),
        ]
        state = "moved" if faults else "initial"
        notes += [*faults, *judgement.notes]
    if figures.nans or figures.infinite:
        state = "broken"
    return replace(
        blob,
        state=state,
        figures=figures,
        tests=_tests(entry),
        probability=min(corrected, default=None),
        findings=tuple(_findings(looked, kept=is_patterned and state == "initial")),
        notes=tuple(notes),
        zero_channels=looked.zero_channels,
        repeated_channels=looked.repeated_channels,
    )


def _channel_faults(entry: Seen, looked: Looked) -> Iterator[str]:
    """Yield what channels tell that chance does not explain."""
    number, length = entry.channels
    if looked.zero_channels and number * entry.zero_share**length < 1e-6:
        yield f"{counted(looked.zero_channels, 'output channel')} of zeros"
    if looked.repeated_channels and entry.is_varied:
        repeats = "repeats" if looked.repeated_channels == 1 else "repeat"
        yield f"{counted(looked.repeated_channels, 'output channel')} {repeats} another one"


def _improbable(tests: Sequence[ChanceTest], corrected: Sequence[float], significance: float) -> Iterator[str]:
    for test, probability in zip(tests, corrected, strict=True):
        if probability <= significance:
            yield f"{_WORDS[test.name].format(test.statistic)}, p {test.probability:.2g}, corrected {probability:.2g}"


_WORDS = {
    "mean": "the mean is off by {:+.3g} standard errors",
    "variance": "the variance is off by {:+.3g} standard errors",
    "distribution": "the distribution function is off by {:.3g}",
    "zeros": "the mask leaves {:,} zeros",
}


def _findings(looked: Looked, *, kept: bool) -> Iterator[str]:
    """Yield what is striking; of a pattern that is kept only what no pattern should have."""
    figures = looked.figures
    if figures.nans:
        yield f"{figures.nans:,} NaN"
    if figures.infinite:
        yield f"{figures.infinite:,} infinite"
    if kept or not figures.count:
        return
    if figures.zeros == figures.count:
        yield "all zero"
    elif figures.count > 1 and figures.finite == figures.count and figures.minimum == figures.maximum:
        yield "constant"
    else:
        if looked.zero_channels:
            yield counted(looked.zero_channels, "zero channel")
        if looked.repeated_channels:
            yield counted(looked.repeated_channels, "repeated channel")
