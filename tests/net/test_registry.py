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


@pytest.mark.parametrize(
    ("name", "blobs", "counts", "roles"),
    [
        ("Convolution", 2, (), ("weight", "bias")),
        ("Convolution", 1, (), ("weight",)),
        ("Convolution", 3, (), ()),
        ("ReLU", 1, (), ()),
        ("BatchNorm", 3, (), ("mean", "variance", "factor")),
        ("BatchNorm", 5, (), ("mean", "variance", "factor", "scale", "bias")),
        ("BatchNorm", 5, (4, 4, 1, 4, 4), ("mean", "variance", "factor", "scale", "bias")),
        ("BatchNorm", 5, (4, 4, 4, 4, 1), ("scale", "bias", "mean", "variance", "factor")),
        ("BatchNorm", 5, (None,) * 4 + (1,), ("mean", "variance", "factor", "scale", "bias")),
        ("BatchNorm", 5, (1,) * 5, ("mean", "variance", "factor", "scale", "bias")),
        ("BN", 2, (), ("scale", "bias")),
        ("BN", 4, (), ("scale", "bias", "mean", "variance")),
        ("LSTM", 3, (), ("W_xc", "b_c", "W_hc")),
        ("LSTM", 4, (), ("W_xc", "b_c", "W_xc_static", "W_hc")),
        ("RNN", 5, (), ("W_xh", "b_h", "W_hh", "W_ho", "b_o")),
        ("PReLU", 1, (), ("slope",)),
    ],
)
def test_roles_of_blobs(name: str, blobs: int, counts: tuple[int | None, ...], roles: tuple[str, ...]) -> None:
    kind = layer_type(name)
    assert kind is not None
    assert kind.roles(blobs, counts) == roles


@pytest.mark.parametrize(
    ("name", "index", "legacy", "modern"),
    [
        ("InnerProduct", 0, (1, 1, 500, 800), (500, 800)),
        ("InnerProduct", 1, (1, 1, 1, 500), (500,)),
        ("InnerProduct", 0, (2, 1, 500, 800), (2, 1, 500, 800)),
        ("Convolution", 0, (1, 1, 5, 5), (1, 1, 5, 5)),
        ("Convolution", 1, (1, 1, 1, 20), (20,)),
        ("Convolution", 1, (20, 1, 1, 1), (20, 1, 1, 1)),
        ("Convolution", 2, (1, 1, 1, 20), (1, 1, 1, 20)),
        ("Scale", 0, (1, 1, 1, 20), (1, 1, 1, 20)),
    ],
)
def test_shapes_of_old_files(name: str, index: int, legacy: tuple[int, ...], modern: tuple[int, ...]) -> None:
    kind = layer_type(name)
    assert kind is not None
    assert kind.modern_shape(index, legacy) == modern
