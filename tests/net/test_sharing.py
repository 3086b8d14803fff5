from collections.abc import Callable

import pytest

from caffe_filler.errors import NetError
from filler_server.net.plan import NetPlan

Plan = Callable[..., NetPlan]

INPUT = (
    'layer { name: "in" type: "Input" top: "a" top: "b" top: "c" '
    "input_param { shape { dim: 2 dim: 6 } shape { dim: 3 dim: 6 } shape { dim: 2 dim: 4 } } }\n"
)


def inner_product(name: str, bottom: str, specs: str, num_output: int = 4) -> str:
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {specs} '
        f"inner_product_param {{ num_output: {num_output} }} }}\n"
    )


def test_the_first_layer_with_a_name_owns_the_values(plan: Plan) -> None:
    net = plan(
        INPUT
        + inner_product("i", "a", 'param { name: "w" } param { name: "bias" }')
        + inner_product("j", "b", 'param { name: "w" } param { name: "other" }')
        + inner_product("k", "b", 'param { } param { name: "bias" }')
    )
    assert [(blob.name, blob.owner) for blob in net.blobs] == [
        ("i/0", None),
        ("i/1", None),
        ("j/0", "i/0"),
        ("j/1", None),
        ("k/0", None),
        ("k/1", "i/1"),
    ]
    assert net.parameters == 24 + 4 + 4 + 24


def test_permissive_sharing_needs_equal_counts_only(plan: Plan) -> None:
    net = plan(
        INPUT
        + inner_product("i", "a", 'param { name: "w" }')
        + inner_product("j", "c", 'param { name: "w" share_mode: PERMISSIVE }', 6)
    )
    assert [(blob.name, blob.shape, blob.owner) for blob in net.layers[2].blobs] == [
        ("j/0", (6, 4), "i/0"),
        ("j/1", (6,), None),
    ]


@pytest.mark.parametrize(
    ("specs", "num_output", "words"),
    [
        (
            'param { name: "w" }',
            6,
            "Cannot share param 'w' owned by layer 'i' with layer 'j'; shape mismatch. Owner layer param shape is "
            "[4, 6]; sharing layer expects shape [6, 4]",
        ),
        (
            'param { name: "w" share_mode: PERMISSIVE }',
            5,
            "Cannot share param 'w' owned by layer 'i' with layer 'j'; count mismatch. Owner layer param shape is "
            "[4, 6]; sharing layer shape is [5, 4]",
        ),
        ('param { name: "w" share_mode: PERMISSIVE lr_mult: 3 }', 6, "Shared param 'w' has mismatched lr_mult"),
        ('param { name: "w" share_mode: PERMISSIVE decay_mult: 1 }', 6, "Shared param 'w' has mismatched decay_mult"),
    ],
)
def test_sharing_refused(plan: Plan, specs: str, num_output: int, words: str) -> None:
    with pytest.raises(NetError) as caught:
        plan(
            INPUT
            + inner_product("i", "a", 'param { name: "w" lr_mult: 2 decay_mult: 0 }')
            + inner_product("j", "c", specs, num_output)
        )
    assert words in caught.value.message
    assert caught.value.layer == "j"


def test_an_explicit_multiplier_of_a_sharer_binds_the_next(plan: Plan) -> None:
    layers = [inner_product("i", "a", 'param { name: "w" }'), inner_product("j", "a", 'param { name: "w" lr_mult: 2 }')]
    plan(INPUT + "".join(layers))
    with pytest.raises(NetError, match="layer 'k': Shared param 'w' has mismatched lr_mult"):
        plan(INPUT + "".join(layers) + inner_product("k", "a", 'param { name: "w" lr_mult: 3 }'))


def test_a_sharer_of_unknown_shape_takes_the_owner_s(plan: Plan) -> None:
    net = plan(
        INPUT
        + 'layer { name: "open" type: "Input" top: "open" }'
        + inner_product("i", "a", 'param { name: "w" }')
        + inner_product("j", "open", 'param { name: "w" }')
    )
    assert net.layers[3].blobs[0].shape == (4, 6)
    assert net.warnings == ()
