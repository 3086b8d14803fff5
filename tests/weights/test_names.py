import pytest

from caffe_filler.errors import InvalidArgument
from filler_server.weights.names import NAMINGS, tensor_name


@pytest.mark.parametrize(
    ("layer_type", "names"),
    [
        ("Convolution", ["weight", "bias"]),
        ("Deconvolution", ["weight", "bias"]),
        ("InnerProduct", ["weight", "bias"]),
        ("Embed", ["weight", "bias"]),
        ("Scale", ["weight", "bias"]),
        ("Bias", ["bias"]),
        ("PReLU", ["weight"]),
        ("Parameter", ["weight"]),
        ("BatchNorm", ["running_mean", "running_var", "scale_factor"]),
        ("LSTM", ["W_xc", "b_c", "W_hc"]),
        ("LSTM", ["W_xc", "b_c", "W_xc_static", "W_hc"]),
        ("RNN", ["W_xh", "b_h", "W_hh", "W_ho", "b_o"]),
        ("RNN", ["W_xh", "b_h", "W_xh_static", "W_hh", "W_ho", "b_o"]),
        ("SomebodysOwn", ["blob0", "blob1"]),
        ("PReLU", ["weight", "blob1"]),
        ("LSTM", ["blob0", "blob1"]),
    ],
)
def test_names_of_torch(layer_type: str, names: list[str]) -> None:
    got = [
        tensor_name("torch", blob=f"a/b/{index}", layer_type=layer_type, blobs=len(names))
        for index in range(len(names))
    ]
    assert got == [f"a/b.{name}" for name in names]


def test_names_of_caffe_are_the_blobs_own() -> None:
    assert tensor_name("caffe", blob="conv1#2/1", layer_type="Convolution", blobs=2) == "conv1#2/1"


def test_other_namings_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"as in caffe or torch. Received: names=keras"):
        tensor_name("keras", blob="conv1/0", layer_type="Convolution", blobs=1)
    assert NAMINGS == ("caffe", "torch")
