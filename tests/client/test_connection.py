import pytest

from caffe_filler.errors import InvalidArgument
from filler_client._connection import RequestId, parse_targets


@pytest.mark.parametrize(
    ("target", "targets"),
    [
        ("a:1", ["a:1"]),
        (" a:1, b:2,", ["a:1", "b:2"]),
        (["a:1", "dns:///b:2"], ["a:1", "dns:///b:2"]),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", ["ipv4:127.0.0.1:1,127.0.0.1:2"]),
        (["ipv6:[::1]:1,[::1]:2", "c:3"], ["ipv6:[::1]:1,[::1]:2", "c:3"]),
        ("unix:/run/filler.sock", ["unix:/run/filler.sock"]),
    ],
)
def test_targets(target: str | list[str], targets: list[str]) -> None:
    assert parse_targets(target) == targets


@pytest.mark.parametrize("target", ["", " , ", [], [""]])
def test_no_target(target: str | list[str]) -> None:
    with pytest.raises(InvalidArgument, match="Received: target="):
        parse_targets(target)


@pytest.mark.parametrize("target", ["a:99999", "a", "a:1,b", ["a:1", "dns:///b"], "ipv4:127.0.0.1:1,127.0.0.2"])
def test_targets_without_a_port_that_can_be(target: str | list[str]) -> None:
    with pytest.raises(InvalidArgument, match=r"port.* Received: target="):
        parse_targets(target)


def test_request_ids_are_the_callers_or_each_another() -> None:
    assert RequestId("job-17/step:3").of_call() == ("x-request-id", "job-17/step:3")
    assert len({RequestId(None).of_call() for _ in range(10)}) == 10


@pytest.mark.parametrize("given", ["", "a b", "a\nb", "é", "x" * 129])
def test_what_no_request_id_is(given: str) -> None:
    with pytest.raises(InvalidArgument, match="Received: request_id="):
        RequestId(given)
