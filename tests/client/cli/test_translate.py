import json

from tests.client.cli.command import fail, succeed


def test_a_call_is_translated() -> None:
    lines = succeed("translate", "torch.nn.init.kaiming_normal_(w, mode='fan_out')").decode().splitlines()
    assert lines[:2] == [
        'caffe  type: "msra" variance_norm: FAN_OUT',
        "torch  torch.nn.init.kaiming_normal_(w, mode='fan_out')",
    ]
    assert any(line.startswith("note   ") for line in lines)


def test_json() -> None:
    found = json.loads(succeed("translate", "xavier", "--json"))
    assert list(found) == ["source", "filler", "is_caffe", "calls", "notes"]
    assert found["calls"]["jax"] == "jax.nn.initializers.lecun_uniform()"


def test_the_whole_table() -> None:
    lines = succeed("translate").decode().splitlines()
    assert sum(line.startswith("| `") for line in lines) > 40
    assert len(json.loads(succeed("translate", "--json"))) > 40


def test_what_is_unknown_is_refused() -> None:
    assert "did you mean 'keras.HeNormal'?" in fail(1, "translate", "keras.HeNorml")
