import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError, InvalidArgument, UnknownFiller
from caffe_filler.filler_types import CAFFE_FILLERS, OWN_FILLERS, WITHOUT_DRAWS
from filler_client import FillerClient
from filler_server.fillers import Distribution, Filler, factory, get_filler, register, registered
from filler_server.fillers.distributions import Uniform
from filler_server.rng.stream import RandomStream, Runs, Values

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 4] } } }
layer {
  name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 bias_term: false weight_filler { type: "diagonal" value: 3 } }
}
"""
CAFFE = ["constant", "gaussian", "uniform", "positive_unitball", "xavier", "msra", "bilinear"]
TYPES = [*CAFFE, *OWN_FILLERS]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(factory, "_fillers", dict(factory._fillers))
    return


@dataclass(frozen=True)
class Diagonal:
    """A value on the diagonal of a square, 0 elsewhere; brings what fills a blob with it."""

    value: float
    width: int

    minimum = 0.0

    @property
    def maximum(self) -> float:
        return self.value

    @property
    def mean(self) -> float:
        return self.value / self.width

    @property
    def std(self) -> float:
        return self.value * sqrt(1 / self.width - 1 / self.width**2)

    def density(self, x: ArrayLike) -> Any:
        return np.zeros(np.shape(x))

    def mass(self, x: ArrayLike) -> Any:
        return np.select([np.equal(x, 0), np.equal(x, self.value)], [1 - 1 / self.width, 1 / self.width], 0.0)

    def cdf(self, x: ArrayLike) -> Any:
        return np.select([np.less(x, 0), np.less(x, self.value)], [0.0, 1 - 1 / self.width], 1.0)

    def quantile(self, q: ArrayLike) -> Any:
        return np.where(np.asarray(q) <= 1 - 1 / self.width, 0.0, self.value)

    def fill(self, out: Values, runs: Runs, random: RandomStream) -> None:
        offsets = np.repeat(runs.starts - runs.bounds[:-1], np.diff(runs.bounds))
        y, x = np.divmod(offsets + np.arange(out.size), self.width)
        out[...] = np.where(x == y, self.value, 0.0)


class OnDiagonal(Filler):
    """A value on the diagonal."""

    type = "diagonal"
    fields = ("value",)

    def __init__(self, param: FillerParameter) -> None:
        self.value = param.value

    def check(self, shape: tuple[int, ...]) -> None:
        pass

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Distribution:
        return Diagonal(self.value, shape[0])


def test_there_are_the_seven_of_caffe_and_our_own() -> None:
    assert list(registered()) == TYPES
    assert list(CAFFE_FILLERS) == CAFFE == [name for name, filler in registered().items() if filler.in_caffe]
    assert {name for name in TYPES if not registered()[name].draws} == WITHOUT_DRAWS
    for name, filler in registered().items():
        assert filler.type == name
        assert set(filler.fields) <= {field.name for field in FillerParameter.DESCRIPTOR.fields}
        assert (filler.__doc__ or "").splitlines()[0]
        assert ("filler.hpp" in (filler.__doc__ or "")) == filler.in_caffe
        assert set(filler.defaults) <= set(filler.fields)


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
    with pytest.raises(UnknownFiller, match=r"bilinear, .*\. Received: type=") as caught:
        get_filler(FillerParameter(type=name))
    assert "Did you mean" not in str(caught.value)


@pytest.mark.usefixtures("registry")
def test_users_register_types_of_their_own() -> None:
    assert register(OnDiagonal) is OnDiagonal
    assert register(OnDiagonal) is OnDiagonal
    assert isinstance(get_filler(FillerParameter(type="diagonal", value=1)), OnDiagonal)
    assert list(registered()) == [*TYPES, "diagonal"]


@pytest.mark.usefixtures("registry")
def test_a_distribution_of_the_users_own_fills_blobs() -> None:
    register(OnDiagonal)
    client = FillerClient.embedded()
    assert (client.fill(FillerParameter(type="diagonal", value=2), (700, 700)) == 2 * np.eye(700)).all()
    net = client.plan_net(NET)
    (blob,) = net.layers[1].blobs
    assert (blob.mean, blob.std) == (0.75, 0.75 * sqrt(3))
    assert (client.init_net(NET)["ip/0"] == 3 * np.eye(4)).all()


class Wide(Filler):
    """Uniform values of [-w, w], w being the number of values."""

    type = "wide"
    fields = ()

    def __init__(self, param: FillerParameter) -> None:
        pass

    def check(self, shape: tuple[int, ...]) -> None:
        pass

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Uniform:
        return Uniform(-prod(shape), prod(shape))


@pytest.mark.usefixtures("registry")
def test_a_filler_of_the_users_own_may_use_a_distribution_of_ours() -> None:
    register(Wide)
    client = FillerClient.embedded()
    got = client.fill(FillerParameter(type="wide"), (5, 40), seed=3)
    assert (got == client.fill(FillerParameter(type="uniform", min=-200, max=200), (5, 40), seed=3)).all()


@pytest.mark.usefixtures("registry")
def test_names_are_taken_once() -> None:
    class Other(OnDiagonal):
        type = "msra"

    with pytest.raises(InvalidArgument, match="'msra' is registered already"):
        register(Other)


class Nameless(OnDiagonal):
    type = ""


@pytest.mark.parametrize("what", [Nameless, Filler, int, "identity", None])
def test_only_fillers_are_registered(what: Any) -> None:
    with pytest.raises(InvalidArgument, match="Received: "):
        register(what)
    assert list(registered()) == TYPES


def test_registered_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        registered()["diagonal"] = OnDiagonal  # type: ignore[index]


def test_filler_errors_name_the_field() -> None:
    with pytest.raises(FillerParameterError) as caught:
        get_filler(FillerParameter(type="gaussian", std=0))
    assert caught.value.field == "std"


def test_factory_and_distributions_need_no_numba() -> None:
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from filler_server.fillers import backend, get_filler, registered\n"
        "from caffe_filler.caffe.caffe_pb2 import FillerParameter\n"
        "for name in registered():\n"
        "    filler = get_filler(FillerParameter(type=name))\n"
        "    shape = (3, 4) if name == 'identity' else (2, 3, 4, 4)\n"
        "    filler.check(shape)\n"
        "    distribution = filler.distribution(shape, np.dtype(np.float32))\n"
        "    backend.prepare(distribution); distribution.cdf(distribution.quantile([0.1, 0.9]))\n"
        "assert 'numba' not in sys.modules\n"
        "assert not any(name.startswith(('grpc', 'filler_server.net')) for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_type_that_is_no_text() -> None:
    with pytest.raises(UnknownFiller, match="Received: type='\ufffdmsra'"):
        get_filler(FillerParameter.FromString(b"\x0a\x05\xffmsra"))
