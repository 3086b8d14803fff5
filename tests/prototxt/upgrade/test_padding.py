import pytest

from caffe_filler.errors import PrototxtError
from filler_server.prototxt import read_net

HEAD = 'input: "a" input_dim: [1, 1, 9, 9]\n'
PAD = 'layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "a" top: "p" }\n'


def test_padding_goes_to_all_who_read_it() -> None:
    document = read_net(
        f"""{HEAD}{PAD}
        layers {{ layer {{ name: "c" type: "conv" num_output: 1 }} bottom: "p" top: "c" }}
        layers {{ layer {{ name: "r" type: "relu" }} bottom: "c" top: "p" }}
        layers {{ layer {{ name: "q" type: "pool" pad: 1 }} bottom: "p" top: "q" }}
        """.encode()
    )
    _, conv, _, pool = document.net.layer
    assert conv.bottom == ["a"]
    assert conv.convolution_param.pad == [2]
    assert pool.bottom == ["p"]  # made anew by the ReLU
    assert pool.pooling_param.pad == 1
    assert document.layer_lines == (1, 4, 5, 6)
    assert [str(change) for change in document.changes][:1] == [
        "2:1: layer 'pad': padding layer is folded into the layers that read it"
    ]


def test_padding_replaces_the_pad_of_a_layer() -> None:
    document = read_net(f'{HEAD}{PAD}layers {{ layer {{ type: "pool" pad: 1 }} bottom: "p" top: "q" }}'.encode())
    assert document.net.layer[1].pooling_param.pad == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{PAD}layers {{ layer {{ name: "r" type: "relu" }} bottom: "p" }}', "3:1: layer 'r': only layers of type"),
        (
            '{PAD}layers {{ layer {{ name: "q" type: "padding" }} bottom: "p" top: "q" }}',
            "only layers of type conv and pool can be padded. Received: type='padding'",
        ),
        (
            '{PAD}layers {{ layer {{ name: "c" type: "conv" }} bottom: "p" bottom: "a" }}',
            "layer 'c' after a padding layer must have one bottom. Received: ['p', 'a']",
        ),
        (
            'layers {{ layer {{ type: "padding" }} bottom: "a" bottom: "a" top: "p" }}\n'
            'layers {{ layer {{ name: "c" type: "conv" }} bottom: "p" }}',
            "layer 'c': its padding layer must have one bottom. Received: ['a', 'a']",
        ),
        (
            'layers {{ layer {{ type: "padding" }} bottom: "a" top: "p" top: "q" }}\n'
            'layers {{ layer {{ name: "c" type: "conv" }} bottom: "q" }}',
            "layer 'c': its padding layer must have one top. Received: ['p', 'q']",
        ),
        (
            'layers {{ layer {{ name: "c" type: "conv" }} bottom: "x" }}',
            "2:1: layer 'c': no layer before makes this bottom. Received: bottom='x'",
        ),
    ],
)
def test_what_cannot_be_folded(text: str, words: str) -> None:
    with pytest.raises(PrototxtError) as caught:
        read_net((HEAD + text.format(PAD=PAD)).encode())
    assert words in str(caught.value)
    assert caught.value.column == 1
