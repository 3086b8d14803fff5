"""Layers as text."""

import pytest

from filler_server.prototxt.net_text import layer_text
from filler_server.prototxt.reader import read_net

LAYERS = [
    'name: "a" type: "Pooling" pooling_param { kernel_size: 3 ceil_mode: false }',
    'name: "a" type: "Pooling" pooling_param { ceil_mode: true }',
    'name: "b" type: "Normalize" norm_param { across_spatial: false scale_filler { type: "constant" value: 20 } }',
    'name: "c" type: "Permute" permute_param { order: 0 order: 2 order: [3, 1] }',
    'name: "d" type: "Convolution" convolution_param { num_output: 2 hole: 2 weight_filler { type: "xavier" } }',
    'name: "e\\"\\303\\251" type: "Python" python_param { module: "m" } odd: "a b\\n" other { deep { er: -1.5e3 } }',
    'name: "f" type: "Eltwise" eltwise_param { operation: SUB coeff: 1 coeff: -1 }',
    'name: "g" type: "Input" input_param { shape { dim: 1 } } include { phase: TEST } blobs { data: 0.1 data: -3 }',
]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_text_is_read_as_the_same_layer(layer: str) -> None:
    document = read_net(f"layer {{ {layer} }}".encode(), lenient=True)
    text = layer_text(document.net.layer[0], document.unknown[0])
    again = read_net(text.encode(), lenient=True)
    assert again.net == document.net
    assert {path: found.values for path, found in again.unknown[0].items()} == {
        path: found.values for path, found in document.unknown[0].items()
    }
