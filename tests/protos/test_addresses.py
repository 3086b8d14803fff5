import pytest

from caffe_filler.addresses import check_address, is_local
from caffe_filler.errors import InvalidArgument

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


@pytest.mark.parametrize(
    "address",
    [
        "localhost:0",
        "localhost:65535",
        "0.0.0.0:50051",
        "[::1]:50051",
        "dns:///localhost:1",
        "dns:localhost:1",
        "dns://127.0.0.1/example.com:1",
        "ipv4:127.0.0.1:1,10.0.0.1:65535",
        "ipv6:[::1]:1,[2001:db8::1]:1",
        "unix:filler.sock",
        "unix:/run/filler.sock",
        "unix:///run/filler.sock",
        "unix:" + "a" * 107,
        "unix-abstract:filler",
        "xds:///anything",
    ],
)
def test_addresses_that_have_all_they_need(address: str) -> None:
    check_address(address, "listen")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("localhost:99999", "port must be 0 to 65535, got 99999. Received: listen=localhost:99999"),
        ("localhost:65536", "port must be 0 to 65535, got 65536"),
        ("localhost:" + "9" * 1000, "port must be 0 to 65535, got 99999999999999999999"),
        ("[::1]:70000", "port must be 0 to 65535, got 70000"),
        ("dns:///localhost:99999", "port must be 0 to 65535"),
        ("dns://8.8.8.8/example.com:99999", "port must be 0 to 65535"),
        ("ipv4:127.0.0.1:1,127.0.0.1:65537", "port must be 0 to 65535, got 65537"),
        ("ipv6:[::1]:1,[::1]:65537", "port must be 0 to 65535, got 65537"),
        ("localhost:-1", "a port is a number, got -1"),
        ("localhost:+1", "a port is a number, got +1"),
        ("localhost:http", "a port is a number, got http"),
        ("localhost:\u0661", "a port is a number"),
        ("localhost", "an address needs a port, as in localhost:50051. Received: listen=localhost"),
        ("localhost:", "an address needs a port, as in localhost:50051"),
        ("[::1]", "an address needs a port, as in [::1]:50051"),
        ("10.0.0.1", "an address needs a port, as in 10.0.0.1:50051"),
        ("dns:///localhost", "an address needs a port"),
        ("dns:localhost", "an address needs a port"),
        ("ipv4:127.0.0.1:1,127.0.0.2", "an address needs a port, as in 127.0.0.2:50051"),
        ("ipv6:[::1]", "an address needs a port"),
        ("::1", "an IPv6 address stands in brackets"),
        ("::1:50051", "an IPv6 address stands in brackets"),
        ("[::1", "an IPv6 address and its port are like [::1]:50051"),
        ("[::1]50051", "an IPv6 address and its port are like [::1]:50051"),
        ("http://localhost:50051", "an address is host:port, without http://. "),
        ("HTTPS://localhost:50051", "an address is host:port, without https://; credentials=Tls() is for TLS"),
        ("unix:", "unix: needs the path of a socket"),
        ("unix:///", "unix: needs the path of a socket"),
        ("unix://filler.sock", "after unix:// comes an absolute path"),
        ("unix:" + "a" * 108, "the path of a socket has at most 107 bytes, got 108"),
        ("unix:" + "\u00e9" * 54, "the path of a socket has at most 107 bytes, got 108"),
        ("unix-abstract:", "unix-abstract: needs a name"),
    ],
)
def test_addresses_that_lack_something(address: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_address(address, "listen")
    assert str(caught.value).startswith(words)
