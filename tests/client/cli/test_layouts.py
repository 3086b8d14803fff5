"""Names, shapes and texts of weights on the command line."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

from filler_client import open_weights, save_weights
from tests.client.cli.command import fail, succeed
from tests.weights.messages import legacy_blob, net_of_layers, save

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 2, 6, 6] } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "bn" type: "BatchNorm" bottom: "fc" top: "bn" }
layer { name: "sc" type: "Scale" bottom: "bn" top: "sc" scale_param { bias_term: true } }
"""
BLOBS = {
    "fc": [np.arange(216, dtype=np.float32).reshape(3, 72), np.ones(3, np.float32)],
    "bn": [np.array([2, 4, 6], np.float32), np.array([8, 2, 4], np.float32), np.array([2], np.float32)],
    "sc": [np.array([1, 2, 3], np.float32), np.array([4, 5, 6], np.float32)],
}


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.h5"
    save_weights({f"{layer}/{i}": blob for layer, blobs in BLOBS.items() for i, blob in enumerate(blobs)}, path)
    return path


def test_names_of_torch_by_init_and_convert(net: Path, weights: Path, tmp_path: Path) -> None:
    succeed("init", net, "--weights", weights, "--names", "torch", "-o", tmp_path / "a.safetensors")
    succeed("convert", weights, tmp_path / "b.safetensors", "--names", "torch", "--net", net)
    succeed("diff", "-q", tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    found = load_file(tmp_path / "a.safetensors")
    assert {name: array.tolist() for name, array in found.items() if name.startswith("bn")} == {
        "bn.running_mean": [1, 2, 3],
        "bn.running_var": [4, 1, 2],
        "bn.weight": [1, 2, 3],
        "bn.bias": [4, 5, 6],
    }


def test_weights_of_torch_by_init_and_convert(net: Path, weights: Path, tmp_path: Path) -> None:
    state = tmp_path / "x.safetensors"
    succeed("convert", weights, state, "--names", "torch", "--net", net)
    succeed("convert", state, tmp_path / "a.caffemodel", "--net", net)
    said = succeed("init", net, "--weights", state, "-o", tmp_path / "b.caffemodel").decode()
    assert "7 blobs: 7 copied" in said
    succeed("diff", "-q", tmp_path / "a.caffemodel", tmp_path / "b.caffemodel")
    with open_weights(tmp_path / "a.caffemodel") as back:
        assert back["bn/0"].array().tolist() == [1, 2, 3]
        assert back["bn/2"].array().tolist() == [1]


def test_reshape(net: Path, tmp_path: Path) -> None:
    net.write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 2, 6, 6] } } }\n'
        'layer { name: "fc" type: "Convolution" bottom: "data" top: "fc" '
        "convolution_param { num_output: 3 kernel_size: 6 } }\n"
    )
    source, target = save(tmp_path / "fc.caffemodel", net_of_layers(fc=BLOBS["fc"])), tmp_path / "w.npz"
    assert "--reshape" in fail(1, "convert", source, target, "--net", net)
    assert "fc/0" in fail(1, "init", net, "--weights", source, "-o", target)
    assert not target.exists()
    succeed("convert", source, target, "--net", net, "--reshape")
    assert np.load(target)["fc/0"].shape == (3, 2, 6, 6)
    said = succeed("init", net, "--weights", source, "--reshape", "-o", target).decode()
    assert "2 blobs: 1 copied, 1 reshaped, 0 filled" in said
    np.testing.assert_array_equal(np.load(target)["fc/0"].ravel(), BLOBS["fc"][0].ravel())


def test_nets_with_weights_as_text(net: Path, weights: Path, tmp_path: Path) -> None:
    model, text = tmp_path / "w.caffemodel", tmp_path / "w.prototxt"
    succeed("convert", weights, model, "--net", net)
    succeed("convert", model, text)
    assert "data: 215" in text.read_text()
    succeed("diff", "-q", model, text)
    succeed("convert", text, tmp_path / "again.caffemodel")
    assert (tmp_path / "again.caffemodel").read_bytes() == model.read_bytes()
    shown = succeed("inspect", "--net", model).decode()
    assert 'name: "small"' in shown
    assert "blobs" not in shown
    assert "does not describe its net" in fail(1, "inspect", "--net", weights)


def test_the_summary_names_the_index_of_shards(net: Path, weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "w.safetensors"
    target.parent.mkdir()
    said = succeed("init", net, "-o", target, "--max-shard-size", "500B").decode()
    assert said.rstrip().endswith("w.safetensors.index.json")
    assert len(list(target.parent.iterdir())) > 2
    succeed("convert", weights, target)
    assert list(target.parent.iterdir()) == [target]
    for command in (("init", net, "-o", tmp_path / "w.npz"), ("convert", weights, tmp_path / "w.npz")):
        assert "safetensors" in fail(1, *command, "--max-shard-size", "500B")


def test_legacy_shapes_become_those_of_today(tmp_path: Path) -> None:
    model = net_of_layers(fc=[])
    for array in (np.ones((1, 1, 3, 72), np.float32), np.ones((1, 1, 1, 3), np.float32)):
        model.layer[0].blobs.append(legacy_blob(array))
    source = save(tmp_path / "v1.caffemodel", model)
    succeed("convert", source, tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert file["data/fc/0"].shape == (3, 72)
        assert file["data/fc/1"].shape == (3,)


def test_a_mean_has_the_axes_of_images(tmp_path: Path) -> None:
    mean = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    np.save(tmp_path / "mean.npy", mean)
    succeed("convert", tmp_path / "mean.npy", tmp_path / "mean.binaryproto")
    with open_weights(tmp_path / "mean.binaryproto") as file:
        assert file.tensors[0].shape == (1, 3, 4, 5)


def test_a_solver_state_is_not_weights(tmp_path: Path) -> None:
    path = tmp_path / "x_iter_5.solverstate.h5"
    with h5py.File(path, "w") as file:
        file["iter"] = np.int32(5)
        file["current_step"] = np.int32(0)
        file["learned_net"] = "x_iter_5.caffemodel.h5"
        file.create_group("history")["0"] = np.ones(3, np.float32)
    said = fail(1, "inspect", path)
    assert "the state of a solver; the weights are in x_iter_5.caffemodel.h5" in said
