# ruff: noqa: E501 - a case of the table is a line
"""The filler that each blob gets, given or not."""

from collections.abc import Callable

import pytest

from filler_server.net.plan import Layer

SEQUENCE = [(4, 2, 3), (4, 2), (2, 7)]


@pytest.mark.parametrize(
    ("fields", "bottoms", "fillers"),
    [
        ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 }', [(2, 6, 8, 10)], [("constant", 0)] * 2),
        (
            'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } '
            "bias_filler { value: 2 } }",
            [(2, 6, 8, 10)],
            [("msra", 0), ("constant", 2)],
        ),
        ('type: "InnerProduct" inner_product_param { num_output: 4 weight_filler { type: "xavier" } }', [(2, 6)], [("xavier", 0), ("constant", 0)]),
        ('type: "Embed" embed_param { num_output: 4 input_dim: 9 weight_filler { type: "uniform" } }', [(2,)], [("uniform", 0), ("constant", 0)]),
        ('type: "Scale" scale_param { bias_term: true }', [(2, 6)], [("constant", 1), ("constant", 0)]),
        ('type: "Scale" scale_param { bias_term: true filler { } bias_filler { value: 3 } }', [(2, 6)], [("constant", 0), ("constant", 3)]),
        ('type: "Scale" scale_param { bias_term: true bias_filler { value: 3 } }', [(2, 6), (6,)], [("constant", 3)]),
        ('type: "Bias"', [(2, 6)], [("constant", 0)]),
        ('type: "PReLU"', [(2, 6)], [("constant", 0.25)]),
        ('type: "PReLU" prelu_param { filler { } }', [(2, 6)], [("constant", 0)]),
        ('type: "BatchNorm"', [(2, 6)], [("constant", 0)] * 3),
        (
            'type: "LSTM" recurrent_param { num_output: 5 weight_filler { type: "gaussian" } bias_filler { value: 4 } }',
            SEQUENCE,
            [("gaussian", 0), ("constant", 4), ("gaussian", 0), ("gaussian", 0)],
        ),
        (
            'type: "RNN" recurrent_param { num_output: 5 weight_filler { type: "gaussian" } bias_filler { value: 4 } }',
            SEQUENCE,
            [("gaussian", 0), ("constant", 4), ("gaussian", 0), ("gaussian", 0), ("gaussian", 0), ("constant", 4)],
        ),
    ],
)  # fmt: skip
def test_fillers(set_up: Callable[..., Layer], fields: str, bottoms: list[object], fillers: object) -> None:
    layer = set_up(fields, *bottoms)
    assert [(blob.filler.type, blob.filler.value) for blob in layer.blobs] == fillers
