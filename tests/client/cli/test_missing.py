"""Nets of which a file would lack blobs, or hold nothing but zeros."""

from pathlib import Path

import numpy as np
import pytest

from caffe_filler.errors import NetError
from filler_client import FillerClient
from tests.client.cli.command import fail, run, succeed
from tests.processes import ServerProcess

INPUT = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: [1, 3, 8, 8] } } }\n'
FILLED = """layer { name: "c" type: "Convolution" bottom: "d" top: "c"
  convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "xavier" } } }
"""
MAGIC = 'layer { name: "m" type: "Magic" bottom: "d" top: "m" %s }'


@pytest.mark.parametrize(
    ("fields", "received"),
    [
        ("magic_param { num_output: 4 }", "magic_param.num_output"),
        ("magic_param { weight_filler { type: 'msra' } }", "magic_param.weight_filler"),
        ("magic_param { inner { filler { } } }", "magic_param.inner.filler"),
        (
            "inner_product_param { num_output: 4 bias_filler { } }",
            "inner_product_param.num_output, inner_product_param.",
        ),
        ("scale_param { filler { value: 1 } }", "scale_param.filler"),
        ("slope_filler { value: 1 }", "slope_filler"),
        ("param { lr_mult: 1 }", "param"),
    ],
)
def test_a_layer_whose_blobs_are_not_known(fields: str, received: str, tmp_path: Path) -> None:
    net, output = tmp_path / "net.prototxt", tmp_path / "out.npz"
    net.write_text(INPUT + FILLED + MAGIC % fields)
    words = fail(1, "init", net, "-o", output).splitlines()[-1]
    assert words.startswith(f"filler: {net}: line 4, layer 'm': its type 'Magic' is not known")
    assert "--allow-missing leaves them out" in words
    assert f"Received: {received}" in words
    assert not output.exists()
    succeed("init", net, "-o", output, "--allow-missing")
    assert set(np.load(output)) == {"c/0", "c/1"}
    with pytest.raises(NetError, match="allow_missing=True leaves them out"):
        FillerClient.embedded().save_net(net, output)
    FillerClient.embedded().save_net(net, output, allow_missing=True)


@pytest.mark.parametrize(
    "layer",
    [
        MAGIC % "magic_param { power: 2 }",
        'layer { name: "y" type: "DummyData" top: "y" dummy_data_param { shape { dim: 1 } data_filler { value: 3 } } }',
        'layer { name: "p" type: "Python" bottom: "d" top: "p" python_param { module: "m" layer: "l" } }',
        'layer { name: "r" type: "ReLU" bottom: "d" top: "r" }',
    ],
)
def test_layers_that_need_no_blobs(layer: str, tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(INPUT + FILLED + layer)
    succeed("init", net, "-o", tmp_path / "out.npz")


def test_layers_of_v0_whose_blobs_are_not_known(tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    layers = "layers { layer { name: '%s' type: '%s' num_output: 2 kernelsize: 1 } bottom: 'd' top: '%s' }\n"
    net.write_text(
        "input: 'd' input_dim: [1, 3, 8, 8]\n" + layers % ("c", "conv", "c") + layers % ("u", "strange", "u")
    )
    words = fail(1, "init", net, "-o", tmp_path / "out.npz").splitlines()[-1]
    assert "layer 'u': its type 'strange' is not known" in words
    assert words.endswith("Received: num_output")


def test_a_net_without_learnable_blobs(tmp_path: Path) -> None:
    net, output = tmp_path / "net.prototxt", tmp_path / "out.npz"
    net.write_text(INPUT)
    assert "the net has no learnable blobs; --allow-missing writes" in fail(1, "init", net, "-o", output)
    assert not output.exists()
    succeed("init", net, "-o", output, "--allow-missing")
    assert set(np.load(output)) == set()


def test_a_net_without_any_filler(tmp_path: Path, server: ServerProcess) -> None:
    net, output = tmp_path / "net.prototxt", tmp_path / "out.npz"
    warning = f"{net}: warning: no layer has a filler: its blobs are filled as Caffe does then, with zeros\n"
    net.write_text(INPUT + FILLED.replace('weight_filler { type: "xavier" }', ""))
    for where in ([], ["--server", server.address]):
        done = run("init", net, "-o", output, *where)
        assert (done.returncode, done.stderr.decode()) == (0, warning)
    weights = tmp_path / "weights.npz"
    output.rename(weights)
    assert run("init", net, "-o", output, "--weights", weights).stderr == b""
    net.write_text(INPUT + FILLED)
    assert run("init", net, "-o", output).stderr == b""
    net.write_text(INPUT + FILLED.replace('type: "xavier"', ""))
    assert run("init", net, "-o", output).stderr == b""
