"""Refusals of a client before it opens a connection; tests/service/test_security.py has real connections."""

from pathlib import Path

import pytest

from caffe_filler.errors import InvalidArgument
from filler_client import AsyncFillerClient, FillerClient, Tls
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
    assert f"token with {len(token)} characters" in str(caught.value)


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
