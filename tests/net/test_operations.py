"""Properties that all operations have in common."""

import copy
import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filler_server.net.operations import Operation, Unknown
from filler_server.net.operations.activations import Clip, ReLU
from filler_server.net.operations.base import shortest, single
from filler_server.net.operations.convolution import Convolution
from filler_server.net.operations.data import Data, Transform

CLIP = Clip(lower=-1.0, upper=2.0)


def test_an_operation_is_a_dataclass() -> None:
    assert [field.name for field in dataclasses.fields(CLIP)] == ["lower", "upper"]  # type: ignore[arg-type]
    assert dataclasses.replace(CLIP, upper=3.0) == Clip(lower=-1.0, upper=3.0)  # type: ignore[type-var]
    assert dataclasses.asdict(CLIP) == {"lower": -1.0, "upper": 2.0}  # type: ignore[call-overload]
    assert copy.deepcopy(CLIP) == pickle.loads(pickle.dumps(CLIP)) == CLIP


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="'lower'"):
        CLIP.lower = 3.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="'upper'"):
        del CLIP.upper


def test_it_has_the_attributes_of_its_class_and_no_others() -> None:
    with pytest.raises(TypeError, match="Clip needs upper"):
        Clip(lower=1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Clip has no attribute most"):
        Clip(lower=1.0, upper=2.0, most=3.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Clip(1.0, 2.0)  # type: ignore[misc]


def test_it_equals_those_of_its_class_with_the_same_attributes() -> None:
    assert ReLU() == ReLU(negative_slope=0.0) != ReLU(negative_slope=0.5)
    assert ReLU() != Unknown()
    assert len({ReLU(), ReLU(negative_slope=0.0), CLIP}) == 2


def test_its_class_is_found_by_its_name() -> None:
    assert Operation.kinds["Convolution"] is Convolution
    assert not any(name.startswith("_") for name in Operation.kinds)
    assert Convolution.names()[:4] == ("kernel", "stride", "pad", "dilation")


def test_repr_has_what_is_not_the_default() -> None:
    assert repr(ReLU()) == "ReLU()"
    assert repr(ReLU(negative_slope=single(0.1))) == "ReLU(negative_slope=0.1)"
    nested = Data(batch_size=4, transform=Transform(mean_values=(104.0, single(116.67)), crop=(5, 5)))
    assert repr(nested) == "Data(batch_size=4, transform=Transform(mean_values=(104.0, 116.67), crop=(5, 5)))"


@given(st.floats(width=32, allow_nan=False))
def test_the_shortest_number_is_the_same_32_bit_float(value: float) -> None:
    short = shortest(value)
    assert short == value or single(short) == value
    assert len(repr(short)) <= len(repr(value))


def test_numbers_that_are_no_32_bit_floats_stay() -> None:
    assert shortest(0.1) == 0.1
    assert shortest(float("inf")) == float("inf")
    with pytest.raises(OverflowError):
        single(1e39)
