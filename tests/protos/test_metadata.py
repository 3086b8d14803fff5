import pytest

from caffe_filler.errors import InvalidArgument
from caffe_filler.metadata import check_token, is_request_id
from caffe_filler.printable import counted


@pytest.mark.parametrize("text", ["a", "job-17/step:3", "!~", "x" * 128])
def test_what_can_name_a_call(text: str) -> None:
    assert is_request_id(text)


@pytest.mark.parametrize("text", ["", " ", "a b", "a\n", "\x7f", "é", "x" * 129])
def test_what_cannot_name_a_call(text: str) -> None:
    assert not is_request_id(text)


@pytest.mark.parametrize("token", ["a", "AZaz09-._~+/", "abc=", "a=="])
def test_tokens(token: str) -> None:
    check_token(token, "token")


@pytest.mark.parametrize("token", ["", "=", "a b", "a=b", "secret\n", "schlüssel"])
def test_what_is_no_token_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(
        InvalidArgument,
        match=rf"^tokens.txt:3: a bearer token is .* Received: token with {counted(len(token), 'character')}$",
    ) as caught:
        check_token(token, "tokens.txt:3")
    assert "secret" not in str(caught.value)
