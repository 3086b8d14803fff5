import pytest

from caffe_filler.addresses import is_local

LOCAL = [
    "localhost:50051",
    "localhost",
    "127.0.0.1:0",
    "127.9.9.9:1",
    "[::1]:50051",
    "unix:/run/filler.sock",
    "unix:///run/filler.sock",
    "unix-abstract:filler",
    "dns:localhost:1",
    "dns:///localhost:1",
    "ipv4:127.0.0.1:1",
    "ipv6:[::1]:1",
    "ipv6:[::1]:1,[::1]:2",
]
OPEN = [
    "",
    ":50051",
    "0.0.0.0:50051",
    "[::]:50051",
    "10.0.0.1:50051",
    "example.com:50051",
    "localhost.example.com:50051",
    "127.0.0.1.example.com:50051",
    "dns:///example.com:1",
    "dns://127.0.0.1/example.com:1",
    "dns://127.0.0.1/localhost:1",
    "ipv4:127.0.0.1:1,10.0.0.1:1",
    "ipv6:[::1]:1,[2001:db8::1]:1",
    "xds:///localhost:1",
]


@pytest.mark.parametrize("address", LOCAL)
def test_addresses_that_stay_inside_the_machine(address: str) -> None:
    assert is_local(address)


@pytest.mark.parametrize("address", OPEN)
def test_addresses_that_others_can_reach_or_that_may_lead_anywhere(address: str) -> None:
    assert not is_local(address)
