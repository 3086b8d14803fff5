"""Courses of signals."""

import pytest

from filler_server.diagnostics.signal.verdict import Step, Trend, Verdict, trend


def steps(*sizes: float) -> list[Step]:
    return [Step(f"layer{number}", size) for number, size in enumerate(sizes, 1)]


@pytest.mark.parametrize(
    ("sizes", "course", "layer"),
    [
        ((), "unknown", None),
        ((1.0,), "unknown", None),
        ((1.0, 0.01, 100.0), "keeps", None),
        ((1.0, 1e4, 1.0), "keeps", None),
        ((1.0, 0.1, 1e-3, 1e-5), "vanishes", "layer3"),
        ((1.0, 1e5, 1.0, 1e4), "explodes", "layer4"),
        ((1.0, 0.5, 0.0, 0.0), "dies", "layer3"),
        ((0.0, 0.0), "dies", "layer1"),
    ],
)
def test_courses(sizes: tuple[float, ...], course: str, layer: str | None) -> None:
    found = trend(steps(*sizes))
    assert (found.course, found.layer) == (course, layer)


def test_sentences_are_plain() -> None:
    verdict = Verdict(Trend("vanishes", "conv4", 1.2e-9), Trend("keeps", None, 0.5))
    assert verdict.sentences == (
        "Forward, the signal vanishes from 'conv4' on: mean square times 1.2e-09.",
        "Backward, the gradient keeps its size: mean square times 0.5.",
    )
