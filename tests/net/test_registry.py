import pytest

from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.registry import at_least, exactly, layer_type, layer_type_names, nearest_type_name, register


def test_further_types_can_be_registered(monkeypatch: pytest.MonkeyPatch, set_up) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("filler_server.net.registry._types", {name: layer_type(name) for name in layer_type_names()})

    @register("Twice", bottoms=exactly(1), tops=at_least(1))
    def twice(layer: LayerContext) -> SetUp:
        return SetUp([layer.bottoms[0]] * layer.num_tops)

    assert [top.shape for top in set_up('type: "Twice" top: "a" top: "b"', (2, 3)).tops] == [(2, 3)] * 2
    with pytest.raises(ValueError, match=r"layer type already registered. Received: name='Twice'"):
        register("Twice", bottoms=exactly(1), tops=exactly(1))(twice)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("convolution", "Convolution"),
        ("Relu", "ReLU"),
        ("InnerProdct", "InnerProduct"),
        ("Foo", None),
        ("x" * 9999, None),
    ],
)
def test_nearest_type_name(name: str, near: str | None) -> None:
    assert nearest_type_name(name) == near
