import pytest

from caffe_filler.errors import InvalidArgument, NetError
from caffe_filler.v1 import filler_pb2
from filler_server.api import planning
from filler_server.api.limits import Limits
from filler_server.api.planning import plan

NET = b'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }'
LONG = 256 << 10


def request(number: int = 0, **more: object) -> filler_pb2.PlanNetRequest:
    return filler_pb2.PlanNetRequest(net=NET + b"#" * number, **more)  # type: ignore[arg-type]


def test_the_plan_of_the_same_request_is_kept() -> None:
    assert plan(request(), Limits()) is plan(request(), Limits())
    assert plan(request(), Limits()) is not plan(request(strict=True), Limits())
    assert plan(request(), Limits()) is not plan(request(), Limits(layers=7))


def test_the_last_eight_are_kept() -> None:
    first = plan(request(1), Limits())
    for number in range(2, 9):
        plan(request(number), Limits())
    assert plan(request(1), Limits()) is first
    for number in range(9, 17):
        plan(request(number), Limits())
    assert plan(request(1), Limits()) is not first


@pytest.mark.parametrize(
    "long", [request(LONG), request(state={"stage": ["s" * LONG]})], ids=["a long net", "a short net of a long request"]
)
def test_what_is_long_is_not_kept(long: filler_pb2.PlanNetRequest) -> None:
    assert plan(long, Limits()) is not plan(long, Limits())


@pytest.mark.parametrize("field", ["inputs", "tops"])
def test_a_shape_that_is_given_twice_is_refused(field: str) -> None:
    twice = [filler_pb2.NamedShape(name="data", shape=filler_pb2.PartialShape(dim=[2, count])) for count in (3, 4)]
    with pytest.raises(InvalidArgument, match="'data' twice") as caught:
        plan(request(**{field: twice}), Limits())
    assert [violation.field for violation in caught.value.violations] == [field]


def test_an_error_is_found_each_time() -> None:
    wrong = filler_pb2.PlanNetRequest(net=NET + b'layer { name: "a" type: "ReLU" bottom: "x" top: "y" }')
    for _ in range(2):
        with pytest.raises(NetError, match="Unknown bottom blob"):
            plan(wrong, Limits())


def test_what_is_kept_is_bounded_by_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    # A plan of one layer with many tops takes about 200 bytes for each.
    tops = " ".join(f'top: "{number}"' for number in range(1000))

    def large(number: int) -> filler_pb2.PlanNetRequest:
        net = f'layer {{ name: "{number}" type: "Input" {tops} input_param {{ shape {{ dim: 2 }} }} }}'
        return filler_pb2.PlanNetRequest(net=net.encode())

    monkeypatch.setattr(planning, "_kept", planning._KeptPlans(8, 1 << 20))
    first = plan(large(0), Limits())
    assert plan(large(0), Limits()) is first
    plan(large(1), Limits())
    assert plan(large(0), Limits()) is not first
    monkeypatch.setattr(planning, "_kept", planning._KeptPlans(8, 100_000))
    assert plan(large(0), Limits()) is not plan(large(0), Limits())
    assert plan(request(), Limits()) is plan(request(), Limits())
