import json

from tests.client.cli.command import fail, succeed


def test_a_filler_is_explained_in_ascii() -> None:
    text = succeed("explain", 'type: "xavier"', "--shape", "64,3,7,7").decode()
    lines = text.splitlines()
    assert lines[0] == 'filler  type: "xavier"'
    assert "numbers x ~ U[-0.142857, 0.142857], 0.142857 = sqrt(3 / 147)" in lines
    assert "jax     jax.nn.initializers.lecun_uniform()" in lines
    assert text.isascii()


def test_json() -> None:
    found = json.loads(succeed("explain", "torch.nn.Linear", "--shape", "10,784", "--json"))
    assert found["source"] == "torch.nn.Linear"
    assert [part["name"] for part in found["parameters"]] == ["weight", "bias"]
    assert [round(part["maximum"], 6) for part in found["parameters"]] == [round(1 / 28, 6)] * 2


def test_what_is_missing_or_unknown_is_refused() -> None:
    assert "give --shape 64,3,7,7" in fail(1, "explain", "xavier")
    assert "did you mean 'msra'?" in fail(1, "explain", "mrsa")
    assert "whole numbers" in fail(2, "explain", "xavier", "--shape", "a,b")
