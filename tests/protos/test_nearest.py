from difflib import SequenceMatcher, get_close_matches
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.nearest import did_you_mean, nearest

TYPES = ["Convolution", "Deconvolution", "Pooling", "InnerProduct", "LRN", "ReLU", "PReLU"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Covolution", "Convolution"),
        ("convolution", "Convolution"),
        ("INNERPRODUCT", "InnerProduct"),
        ("Polling", "Pooling"),
        ("prelu", "PReLU"),
        ("Softmax", None),
        ("", None),
        ("Convolution" * 10, None),
    ],
)
def test_the_nearest_of_some_names(name: str, meant: str | None) -> None:
    assert nearest(name, TYPES) == meant
    assert nearest(name, iter(TYPES)) == meant
    assert nearest(name, []) is None


def test_how_near_it_must_be() -> None:
    assert nearest("lr", ["lr_policy"], cutoff=0.3) == "lr_policy"
    assert nearest("lr", ["lr_policy"]) is None


def test_what_is_compared() -> None:
    assert nearest("TOP_K", ["topk", "top"], key=lambda name: name.replace("_", "").lower()) == "topk"
    assert nearest("max", ["MAX"], key=str) is None


def test_equally_near_names() -> None:
    assert nearest("pad_x", ["pad_h", "pad_w"]) == "pad_w"
    assert nearest("pad_x", ["pad_h", "pad_w"], unique=True) is None
    assert nearest("pad_h", ["pad_h", "pad_w"], unique=True) == "pad_h"


NAMES = st.text("abcde_", max_size=12)


@given(NAMES, st.lists(NAMES, max_size=30, unique=True), st.sampled_from([0.3, 0.6, 0.75]))
def test_it_is_the_one_that_difflib_finds(name: str, known: list[str], cutoff: float) -> None:
    found = get_close_matches(name, known, n=1, cutoff=cutoff)
    assert nearest(name, known, cutoff=cutoff, key=str) == (found[0] if found else None)


def test_the_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def ratio(matcher: Any) -> float:
        compared.append(len(matcher.a) * len(matcher.b))
        return whole_ratio(matcher)

    whole_ratio = SequenceMatcher.ratio
    monkeypatch.setattr(SequenceMatcher, "ratio", ratio)
    known = (f"{'ba' * 47}{number:06}" for number in range(10**7))
    assert nearest("ab" * 50, known) is not None
    assert next(known).endswith("010000")
    assert nearest("a" * 10**6, ["a" * 10**6] * 1000) is None
    assert nearest("a" * 100, ("a" * (10**6 + number) for number in range(1000))) is None
    assert 0 < len(compared) <= 32
    assert max(compared) <= 100 * 100


def test_the_words() -> None:
    assert did_you_mean("data") == " (did you mean 'data'?)"
    assert did_you_mean("MAX", quote="") == " (did you mean MAX?)"
    assert did_you_mean(None) == ""
