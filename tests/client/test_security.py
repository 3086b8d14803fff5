"""Refusals of a client before it opens a connection; tests/service/test_security.py has real connections."""

from pathlib import Path

import pytest

from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import interface
from caffe_filler.printable import counted
from filler_client import AsyncFillerClient, FillerClient, Tls
from filler_client._advice import connection_advice
from filler_client._security import Security

ELSEWHERE = "filler.example.com:50051"


@pytest.mark.parametrize("client", [FillerClient, AsyncFillerClient])
def test_a_token_does_not_travel_readable(client: type[FillerClient] | type[AsyncFillerClient]) -> None:
    with pytest.raises(InvalidArgument, match=rf"credentials=Tls\(\).*target={ELSEWHERE}"):
        client(["localhost:1", ELSEWHERE], token="secret")
    client(ELSEWHERE)
    client("localhost:1,unix:/run/filler.sock", token="secret")
    client(ELSEWHERE, token="secret", insecure=True)
    client(ELSEWHERE, token="secret", credentials=Tls())


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "Ümlaut", "=", "x=y"])
def test_what_is_no_token_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(InvalidArgument, match="bearer token") as caught:
        FillerClient("localhost:1", token=token)
    assert f"token with {counted(len(token), 'character')}" in str(caught.value)


def test_the_file_of_a_token_is_read_for_every_call(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(InvalidArgument, match=f"cannot read {file}"):
        FillerClient("localhost:1", token_file=file)
    file.write_text("first\n")
    security = Security(token_file=file)
    assert security.metadata() == (("authorization", "Bearer first"),)
    file.write_text("second")
    assert security.metadata() == (("authorization", "Bearer second"),)
    file.write_text("\n")
    with pytest.raises(InvalidArgument, match=f"^token_file={file}: .* with 0 characters$"):
        security.metadata()
    assert Security().metadata() is None


def test_one_token_and_a_certificate_with_its_key() -> None:
    with pytest.raises(InvalidArgument, match="one token"):
        FillerClient("localhost:1", token="a", token_file="b")
    with pytest.raises(InvalidArgument, match="belong together"):
        Tls(certificate="client.pem")
    with pytest.raises(InvalidArgument, match=r"cannot read absent\.pem"):
        FillerClient("localhost:1", credentials=Tls(ca="absent.pem")).list_fillers()


def test_options_are_named_as_the_caller_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("=")
    with interface("cli"):
        with pytest.raises(InvalidArgument, match=f"give --tls, or say --insecure. Received: target={ELSEWHERE}"):
            FillerClient(ELSEWHERE, token="secret")
        with pytest.raises(InvalidArgument, match=f"^--token-file={file}: "):
            Security(token_file=file)
        with pytest.raises(InvalidArgument, match="belong together: give --tls-certificate and --tls-key"):
            Tls(certificate="client.pem")


FAILING = "connections to all backends failing; last error: "


@pytest.mark.parametrize(
    ("text", "tls", "certificate", "python", "cli"),
    [
        (f"{FAILING}UNAVAILABLE: Socket closed", False, False, "Tls", "--tls"),
        (f"{FAILING}recvmsg:Connection reset by peer", False, False, "Tls", "--tls"),
        (
            *(f"{FAILING}Socket closed", True, False),
            *("Tls(certificate=..., key=...)", "--tls-certificate and --tls-key"),
        ),
        (f"{FAILING}Socket closed", True, True, None, None),
        ("Socket closed", False, False, None, None),
        (f"{FAILING}Connection refused", False, False, None, None),
        ("CERTIFICATE_VERIFY_FAILED: self signed certificate in certificate chain", True, False, "ca=", "--tls-ca"),
        ("CERTIFICATE_VERIFY_FAILED: certificate has expired", True, False, None, None),
        ("Failed parsing HTTP/2 (Expected SETTINGS frame as the first frame)", False, False, "gRPC", "gRPC"),
    ],
)
def test_advice(text: str, tls: bool, certificate: bool, python: str | None, cli: str | None) -> None:
    for name, words in (("python", python), ("cli", cli)):
        with interface(name):  # type: ignore[arg-type]
            advice = connection_advice(text, tls=tls, certificate=certificate)
        assert advice is None if words is None else words in (advice or "")
