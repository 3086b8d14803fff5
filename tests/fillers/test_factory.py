import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError, InvalidArgument, UnknownFiller
from filler_server.fillers import Filler, factory, get_filler, register, registered
from filler_server.fillers.base import Moments
from filler_server.rng.stream import RandomStream, Runs, Values

TYPES = ["constant", "gaussian", "uniform", "positive_unitball", "xavier", "msra", "bilinear"]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(factory, "_fillers", dict(factory._fillers))
    return


class Identity(Filler):
    """Ones on the diagonal."""

    type = "identity"
    fields = ("value",)

    def __init__(self, param: FillerParameter) -> None:
        self.value = param.value

    def check(self, shape: tuple[int, ...]) -> None:
        pass

    def fill(self, out: Values, runs: Runs, shape: tuple[int, ...], random: RandomStream) -> None:
        out.fill(self.value)

    def moments(self, shape: tuple[int, ...]) -> Moments:
        return Moments(0.0, 0.0, 0.0, 0.0)


def test_there_are_the_seven_of_caffe() -> None:
    assert list(registered()) == TYPES
    for name, filler in registered().items():
        assert filler.type == name
        assert set(filler.fields) <= {field.name for field in FillerParameter.DESCRIPTOR.fields}
        assert (filler.__doc__ or "").splitlines()[0]
        assert "filler.hpp" in (filler.__doc__ or "")


@pytest.mark.parametrize("name", TYPES)
def test_types_are_found_by_name(name: str) -> None:
    assert get_filler(FillerParameter(type=name)).type == name


def test_no_type_is_constant() -> None:
    assert get_filler(FillerParameter()).type == "constant"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Constant", "constant"),
        ("MSRA", "msra"),
        ("guassian", "gaussian"),
        ("xaver", "xavier"),
        ("positive_unit_ball", "positive_unitball"),
        ("Bilinear ", "bilinear"),
    ],
)
def test_an_unknown_type_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownFiller) as caught:
        get_filler(FillerParameter(type=name))
    message = str(caught.value)
    assert f"unknown filler type (did you mean '{nearest}'?); there are" in message
    assert all(known in message for known in TYPES)
    assert message.endswith(f"Received: type='{name}'")
    assert caught.value.violations[0].field == "type"


@pytest.mark.parametrize("name", ["", "foo"])
def test_an_unknown_type_that_is_near_nothing_lists_all(name: str) -> None:
    with pytest.raises(UnknownFiller, match=r"bilinear\. Received: type=") as caught:
        get_filler(FillerParameter(type=name))
    assert "Did you mean" not in str(caught.value)


@pytest.mark.usefixtures("registry")
def test_users_register_types_of_their_own() -> None:
    assert register(Identity) is Identity
    assert register(Identity) is Identity
    assert isinstance(get_filler(FillerParameter(type="identity", value=1)), Identity)
    assert list(registered()) == [*TYPES, "identity"]


@pytest.mark.usefixtures("registry")
def test_names_are_taken_once() -> None:
    class Other(Identity):
        type = "msra"

    with pytest.raises(InvalidArgument, match="'msra' is registered already"):
        register(Other)


class Nameless(Identity):
    type = ""


@pytest.mark.parametrize("what", [Nameless, Filler, int, "identity", None])
def test_only_fillers_are_registered(what: Any) -> None:
    with pytest.raises(InvalidArgument, match="Received: "):
        register(what)
    assert list(registered()) == TYPES


def test_registered_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        registered()["identity"] = Identity  # type: ignore[index]


def test_filler_errors_name_the_field() -> None:
    with pytest.raises(FillerParameterError) as caught:
        get_filler(FillerParameter(type="gaussian", std=0))
    assert caught.value.field == "std"


def test_factory_and_moments_need_no_numba() -> None:
    code = (
        "import sys\n"
        "from filler_server.fillers import get_filler, registered\n"
        "from caffe_filler.caffe.caffe_pb2 import FillerParameter\n"
        "for name in registered():\n"
        "    filler = get_filler(FillerParameter(type=name))\n"
        "    filler.check((2, 3, 4, 4)); filler.moments((2, 3, 4, 4))\n"
        "assert 'numba' not in sys.modules\n"
        "assert not any(name.startswith(('grpc', 'filler_server.net')) for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_type_that_is_no_text() -> None:
    with pytest.raises(UnknownFiller, match="Received: type='\ufffdmsra'"):
        get_filler(FillerParameter.FromString(b"\x0a\x05\xffmsra"))
