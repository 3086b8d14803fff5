import pytest

from filler_server.prototxt import read_net

PARAM = 'param { name: "p" lr_mult: 2 decay_mult: 3 }'


def test_three_params_become_zero() -> None:
    document = read_net(f'layer {{ name: "bn" type: "BatchNorm" {PARAM} param {{ }} param {{ lr_mult: 0 }} }}'.encode())
    params = document.net.layer[0].param
    assert all(param.HasField("lr_mult") and param.HasField("decay_mult") for param in params)
    assert [(param.lr_mult, param.decay_mult, param.name) for param in params] == [(0, 0, "p"), (0, 0, ""), (0, 0, "")]
    assert [str(change) for change in document.changes] == [
        "1:1: layer 'bn': lr_mult and decay_mult of a BatchNorm's three param become 0"
    ]


def test_zeros_are_no_change() -> None:
    zero = "param { lr_mult: 0 decay_mult: 0 }"
    assert read_net(f'layer {{ type: "BatchNorm" {zero * 3} }}'.encode()).changes == ()


@pytest.mark.parametrize(("type_", "count"), [("BatchNorm", 2), ("BatchNorm", 4), ("Scale", 3)])
def test_the_rest_stays(type_: str, count: int) -> None:
    document = read_net(f'layer {{ type: "{type_}" {PARAM * count} }}'.encode())
    assert [param.lr_mult for param in document.net.layer[0].param] == [2] * count
    assert document.changes == ()
