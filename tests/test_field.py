"""Faults that users of Caffe reported of other tools, each with the right value, through what a user calls.

The tests of the rooms have the other inputs of each kind; here stands one of each, from the file to the values.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from google.protobuf import text_format

import filler_client
from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import FillerError, NetError, UnknownFiller, WeightsError
from filler_client import FillerClient
from tests.client.cli.command import succeed

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [%s] } } }\n'
CONV = (
    'layer { name: "%s" type: "Convolution" bottom: "%s" top: "%s" '
    "convolution_param { num_output: %d kernel_size: %d %s } }\n"
)
Blobs = Mapping[str, Sequence[Any]]
Write = Callable[[str, str, Blobs], Path]


@pytest.fixture
def client() -> FillerClient:
    return FillerClient.embedded()


@pytest.fixture
def file(tmp_path: Path) -> Write:
    """Write a .caffemodel, or the text of one, of a net whose layers have these blobs."""

    def write(name: str, net: str, blobs: Blobs) -> Path:
        message = text_format.Parse(net, NetParameter())
        for layer in message.layer:
            for values in blobs.get(layer.name, ()):
                array = np.asarray(values, np.float32)
                layer.blobs.add(data=array.ravel()).shape.dim.extend(array.shape)
        path = tmp_path / name
        binary = path.suffix == ".caffemodel"
        path.write_bytes(message.SerializeToString() if binary else text_format.MessageToString(message).encode())
        return path

    return write


def values(path: Path) -> dict[str, Any]:
    with filler_client.open_weights(path) as opened:
        return {tensor.name: tensor.array() for tensor in opened.tensors}


def listed(path: Path) -> dict[str, Any]:
    return {name: array.tolist() for name, array in values(path).items()}


def shapes(plan: Any) -> dict[str, Any]:
    return {top.name: top.shape for layer in plan.layers for top in layer.tops} | {
        blob.name: blob.shape for blob in plan.blobs
    }


def test_01_weights_of_a_solver(file: Write, tmp_path: Path) -> None:
    net = INPUT % "1, 3, 4, 4" + CONV % ("conv1", "data", "conv1", 2, 3, "")
    (tmp_path / "net.prototxt").write_text(net)
    blobs = {"conv1": [np.arange(54).reshape(2, 3, 3, 3), [7, 8]]}
    file("trained.caffemodel", net, blobs)
    solver = tmp_path / "solver.prototxt"
    solver.write_text('net: "net.prototxt" random_seed: 1701 weights: "trained.caffemodel"')
    succeed("init", "--solver", solver, "-o", tmp_path / "x.npz")
    found = values(tmp_path / "x.npz")
    assert [found[f"conv1/{index}"].tolist() for index in (0, 1)] == [
        np.asarray(blob, np.float32).tolist() for blob in blobs["conv1"]
    ]


def test_02_draws_of_ssd_s_data(client: FillerClient) -> None:
    transform = "transform_param { mirror: true resize_param { prob: 1 resize_mode: WARP height: 9 width: 9 } %s }"
    data = (
        f'layer {{ name: "data" type: "AnnotatedData" top: "data" top: "label" '
        f"{transform % 'mean_value: [1, 2, 3]'} "
        'data_param { source: "db" batch_size: 2 } annotated_data_param { } }\n'
    )
    net = data + CONV % ("conv1", "data", "conv1", 4, 3, 'weight_filler { type: "xavier" }')
    weight = client.init_net(net, seed=1701, stream="caffe", inputs={"data": (2, 3, 9, 9)})["conv1/0"]
    assert weight.ravel()[:3].tolist() == pytest.approx([0.012495995, 0.02124685, -0.012920767], rel=1e-6)


@pytest.mark.parametrize("order", ["NVIDIA 0.15", "NVIDIA 0.16"])
def test_03_batch_norm_of_nvidia(file: Write, tmp_path: Path, order: str) -> None:
    scale, statistics = [[2, 3], [0.5, -0.5]], [[10, 20], [4, 9]]
    blobs = [*scale, *statistics, [1]] if order == "NVIDIA 0.15" else [*statistics, [1], *scale]
    source = file("n.caffemodel", 'layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y" }', {"bn": blobs})
    filler_client.convert(source, tmp_path / "x.safetensors", names="torch")
    assert listed(tmp_path / "x.safetensors") == {
        "bn.weight": [2, 3],
        "bn.bias": [0.5, -0.5],
        "bn.running_mean": [10, 20],
        "bn.running_var": [4, 9],
    }


NORMALIZED = (
    INPUT % "1, 3, 8, 8"
    + CONV % ("conv", "data", "conv", 2, 3, "bias_term: false")
    + 'layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }\n'
    + 'layer { name: "sc" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }\n'
)


def test_04_one_meaning_of_torch(file: Write, client: FillerClient, tmp_path: Path) -> None:
    blobs = {"conv": [np.ones((2, 3, 3, 3))], "bn": [[2, 4], [0.5, 1], [2]], "sc": [[2, 3], [0.5, -0.5]]}
    source = file("n.caffemodel", NORMALIZED, blobs)
    expected = {
        "bn.weight": [2, 3],
        "bn.bias": [0.5, -0.5],
        "bn.running_mean": [1, 2],
        "bn.running_var": [0.25, 0.5],
    }
    client.save_net(NORMALIZED, tmp_path / "init.npz", weights=source, names="torch")
    filler_client.convert(source, tmp_path / "convert.npz", names="torch")
    for name in ("init", "convert"):
        found = listed(tmp_path / f"{name}.npz")
        assert found.pop("conv.weight") == np.ones((2, 3, 3, 3)).tolist()
        assert found == expected
    client.save_net(NORMALIZED, tmp_path / "filled.npz", names="torch")
    assert list(values(tmp_path / "filled.npz")) == ["conv.weight", *expected]
    assert listed(tmp_path / "filled.npz")["bn.running_var"] == [1, 1]


def test_05_and_06_types_of_forks_under_the_names_of_torch(file: Write, client: FillerClient, tmp_path: Path) -> None:
    psp = (
        INPUT % "1, 3, 9, 9"
        + CONV % ("conv", "data", "conv", 2, 3, "bias_term: false")
        + 'layer { name: "conv/bn" type: "BN" bottom: "conv" top: "conv" }\n'
    )
    blobs = [np.full((1, 2, 1, 1), value) for value in (2, 3, 4, 5)]
    source = file("psp.caffemodel", psp, {"conv": [np.ones((2, 3, 3, 3))], "conv/bn": blobs})
    tuned = dict(client.finetune_net(psp, source))
    assert [tuned[f"conv/bn/{index}"].ravel().tolist() for index in range(4)] == [[2, 2], [3, 3], [4, 4], [5, 5]]
    filler_client.convert(source, tmp_path / "psp.npz", names="torch")
    found = listed(tmp_path / "psp.npz")
    assert {name: found[f"conv/bn.{name}"] for name in ("weight", "bias", "running_mean", "running_var")} == {
        "weight": [2, 2],
        "bias": [3, 3],
        "running_mean": [4, 4],
        "running_var": [5, 5],
    }
    net = "".join(
        f'layer {{ name: "{name}" type: "{kind}" bottom: "x" top: "{name}" }}\n'
        for name, kind in (("dw", "DepthwiseConvolution"), ("norm", "Normalize"), ("pr", "PReLU"))
    )
    blobs_of_types = {"dw": [np.ones((4, 1, 3, 3)), np.zeros(4)], "norm": [np.full(4, 20)], "pr": [0.25]}
    filler_client.convert(file("t.caffemodel", net, blobs_of_types), tmp_path / "t.npz", names="torch")
    assert {name: array.shape for name, array in values(tmp_path / "t.npz").items()} == {
        "dw.weight": (4, 1, 3, 3),
        "dw.bias": (4,),
        "norm.weight": (4,),
        "pr.weight": (1,),
    }


def test_07_shared_weights_in_hdf5(tmp_path: Path) -> None:
    layer = (
        'layer { name: "%s" type: "InnerProduct" bottom: "%s" top: "%s" param { name: "w" } param { name: "b" } '
        "inner_product_param { num_output: 2 } }\n"
    )
    net = INPUT % "1, 3" + layer % ("ip", "data", "a") + layer % ("ip_p", "data", "b")
    weight, bias = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([8, 9], np.float32)
    with h5py.File(tmp_path / "w.h5", "w") as root:
        root["data/ip/0"], root["data/ip/1"] = weight, bias
        root.create_group("data/ip_p")
    filler_client.convert(tmp_path / "w.h5", tmp_path / "w.caffemodel", net=net)
    assert listed(tmp_path / "w.caffemodel") == {
        f"{name}/{index}": blob.tolist() for name in ("ip", "ip_p") for index, blob in enumerate((weight, bias))
    }


def test_08_an_inner_product_becomes_a_convolution(file: Write, client: FillerClient, tmp_path: Path) -> None:
    inner = 'layer { name: "fc6" type: "InnerProduct" bottom: "data" top: "fc6" }'
    weight, bias = np.arange(8 * 144).reshape(8, 144), np.arange(8)
    source = file("fc6.caffemodel", inner, {"fc6": [weight, bias]})
    net = INPUT % "1, 4, 6, 6" + CONV % ("fc6", "data", "fc6", 8, 6, "")
    with pytest.raises(FillerError, match=r"\[8, 4, 6, 6\] in the net and \[8, 144\] in the file; reshape=True takes"):
        filler_client.convert(source, tmp_path / "x.npz", net=net)
    filler_client.convert(source, tmp_path / "x.npz", net=net, reshape=True)
    assert listed(tmp_path / "x.npz")["fc6/0"] == weight.reshape(8, 4, 6, 6).tolist()
    tuned = dict(client.finetune_net(net, source, reshape=True))
    assert tuned["fc6/0"].tolist() == weight.reshape(8, 4, 6, 6).tolist()


def test_09_legacy_shapes_and_means(tmp_path: Path) -> None:
    blob = "blobs { num: %d channels: %d height: %d width: %d data: [%s] }"
    layers = (
        'layers { name: "conv1" type: CONVOLUTION bottom: "x" top: "y" '
        "convolution_param { num_output: 2 kernel_size: 1 }"
        f" {blob % (2, 1, 1, 1, '1, 2')} {blob % (1, 1, 1, 2, '3, 4')} }}\n"
        'layers { name: "fc8" type: INNER_PRODUCT bottom: "y" top: "z" inner_product_param { num_output: 1 }'
        f" {blob % (1, 1, 1, 2, '5, 6')} {blob % (1, 1, 1, 1, '7')} }}\n"
    )
    (tmp_path / "v1.caffemodel").write_bytes(text_format.Parse(layers, NetParameter()).SerializeToString())
    filler_client.convert(tmp_path / "v1.caffemodel", tmp_path / "v1.h5")
    with h5py.File(tmp_path / "v1.h5") as root:
        found = {name: root["data"][name].shape for name in ("conv1/0", "conv1/1", "fc8/0", "fc8/1")}
    assert found == {"conv1/0": (2, 1, 1, 1), "conv1/1": (2,), "fc8/0": (1, 2), "fc8/1": (1,)}
    np.save(tmp_path / "mean.npy", np.zeros((3, 5, 7), np.float32))
    filler_client.convert(tmp_path / "mean.npy", tmp_path / "mean.binaryproto")
    with filler_client.open_weights(tmp_path / "mean.binaryproto") as mean:
        assert [tensor.shape for tensor in mean.tensors] == [(1, 3, 5, 7)]


PLANS: dict[str, tuple[str, dict[str, Any]]] = {
    "10, five axes": (
        INPUT
        % "1, 3, 16, 160, 160"
        + 'layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param { num_output: 64 '
        "bias_term: false pad: [0, 3, 3] kernel_size: [1, 7, 7] stride: [1, 2, 2] } }\n"
        'layer { name: "bn1" type: "BN" bottom: "conv1" top: "bn1" '
        "bn_param { slope_filler { value: 1 } frozen: false } }\n"
        'layer { name: "pool1" type: "Pooling3D" bottom: "bn1" top: "pool1" pooling3d_param { pool: MAX pad: 0 '
        "kernel_size: 3 stride: 2 pad_l: 0 kernel_l: 2 stride_l: 2 } }\n"
        + CONV
        % ("res2a", "pool1", "res2a", 8, 1, "bias_term: false"),
        {
            **{f"bn1/{index}": (1, 64) for index in range(4)},
            "bn1": (1, 64, 16, 80, 80),
            "pool1": (1, 64, 8, 40, 40),
            "res2a/0": (8, 64, 1, 1, 1),
        },
    ),
    "11, PReLU of more axes": (
        INPUT % "1, 1, 8, 8, 8"
        + CONV % ("conv", "data", "conv", 16, 5, "pad: 2")
        + 'layer { name: "relu" type: "PReLU" bottom: "conv" top: "conv" }\n',
        {"relu/0": (16,), "conv": (1, 16, 8, 8, 8)},
    ),
    "12, C3D": (
        'input: "data"\n' + "".join(f"input_dim: {dim}\n" for dim in (30, 3, 16, 112, 112)) + "layers { "
        'name: "conv1a" type: CONVOLUTION3D bottom: "data" top: "conv1a" convolution_param { num_output: 64 '
        "kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1 } }\n",
        {"data": (30, 3, 16, 112, 112), "conv1a/0": (64, 3, 3, 3, 3)},
    ),
    "13, NdConvolution": (
        INPUT
        % "10, 3, 16, 112, 112"
        + 'layer { name: "conv1a" type: "NdConvolution" bottom: "data" top: "conv1a" convolution_param { '
        "num_output: 64 kernel_shape { dim: [3, 3, 3] } pad_shape { dim: [1, 1, 1] } } }\n"
        'layer { name: "pool1" type: "NdPooling" bottom: "conv1a" top: "pool1" pooling_param { pool: MAX '
        "kernel_shape { dim: [1, 2, 2] } stride_shape { dim: [1, 2, 2] } } }\n",
        {"conv1a/0": (64, 3, 3, 3, 3), "pool1": (10, 64, 16, 56, 56)},
    ),
}


@pytest.mark.parametrize("case", PLANS)
def test_10_to_13_nets_of_forks(client: FillerClient, case: str) -> None:
    net, expected = PLANS[case]
    found = shapes(client.plan_net(net))
    assert {name: found[name] for name in expected} == expected


def test_11_more_bottoms_than_bvlc_has(client: FillerClient) -> None:
    net = (
        'layer { name: "in" type: "Input" top: "x" top: "n" '
        "input_param { shape { dim: [4, 50] } shape { dim: [4, 1] } } }"
        'layer { name: "att" type: "Softmax" bottom: "x" bottom: "n" top: "att" }'
        'layer { name: "out" type: "InnerProduct" bottom: "att" top: "out" inner_product_param { num_output: 5 } }'
    )
    assert "layer type 'Softmax' is more than BVLC's here" in client.plan_net(net).warnings[0].message
    assert shapes(client.plan_net(net, tops={"att": (4, 50)}))["out/0"] == (5, 50)
    with pytest.raises(NetError, match="is more than BVLC's"):
        client.plan_net(net, strict=True)


def test_12_blobs_of_c3d(tmp_path: Path) -> None:
    # num 2, channels 1, length 3, height 3, width 3, and the values in field 6.
    data = np.arange(54, dtype="<f4") / 10
    blob = b"\x08\x02\x10\x01\x18\x03\x20\x03\x28\x03" + b"\x32" + b"\xd8\x01" + data.tobytes()
    layer = b"\x22\x06conv1a" + b"\x28\x1e" + b"\x32" + bytes([len(blob) & 127 | 128, len(blob) >> 7]) + blob
    (tmp_path / "c3d.caffemodel").write_bytes(b"\x12" + bytes([len(layer) & 127 | 128, len(layer) >> 7]) + layer)
    found = values(tmp_path / "c3d.caffemodel")
    assert found["conv1a/0"].shape == (2, 1, 3, 3, 3)
    assert found["conv1a/0"].ravel().tolist() == data.tolist()


def test_14_a_filler_of_a_fork(client: FillerClient) -> None:
    net = INPUT % "1, 3, 8, 8" + CONV % ("up", "data", "up", 3, 3, 'weight_filler { type: "diagonal" }')
    with pytest.raises(UnknownFiller, match=r"fillers={'up/0': 'TYPE'} names another filler for it"):
        client.init_net(net)
    assert (client.init_net(net, fillers={"up/0": 'type: "constant" value: 1'})["up/0"] == 1).all()
    assert list(client.init_net(net, blobs=["up/1"])) == ["up/1"]


def test_15_several_nets_in_one(client: FillerClient) -> None:
    net = (
        'layer { name: "train-data" type: "Data" top: "scaled" data_param { batch_size: 64 } '
        'include { stage: "train" } }'
        'layer { name: "scale" type: "Power" bottom: "data" top: "scaled" include { stage: "deploy" } }'
        + CONV % ("conv1", "scaled", "conv1", 20, 5, "")
        + 'layer { name: "ip2" type: "InnerProduct" bottom: "conv1" top: "ip2" inner_product_param { num_output: 10 } }'
    )
    found = shapes(client.plan_net(net, stages=["deploy"], inputs={"data": (1, 1, 28, 28)}))
    assert (found["conv1/0"], found["ip2/0"]) == ((20, 1, 5, 5), (10, 11520))
    with pytest.raises(NetError, match=r"'train-data' .*stages=\['train'\], or layer 'scale' .*stages=\['deploy'\]"):
        client.plan_net(net)


def test_16_weights_and_nets_as_text(file: Write, tmp_path: Path) -> None:
    net = INPUT % "1, 2" + 'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" }'
    blobs = {"ip": [[[1, 2], [3, 4]], [5, 6]]}
    filler_client.convert(file("net.prototxt", net, blobs), tmp_path / "x.npz")
    assert listed(tmp_path / "x.npz") == {"ip/0": [[1, 2], [3, 4]], "ip/1": [5, 6]}
    with filler_client.open_weights(file("net.caffemodel", net, blobs)) as opened:
        text = opened.prototxt
    assert [layer.name for layer in text_format.Parse(text, NetParameter()).layer] == ["data", "ip"]
    assert "blobs" not in text
    filler_client.convert(tmp_path / "net.caffemodel", tmp_path / "back.prototxt")
    assert listed(tmp_path / "back.prototxt") == listed(tmp_path / "x.npz")


def test_17_the_state_of_a_solver(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.solverstate.h5", "w") as root:
        root["iter"], root["current_step"] = np.int32(100), np.int32(0)
        root["learned_net"] = "x_iter_100.caffemodel.h5"
        root.create_group("history")["0"] = np.ones(3, np.float32)
    with pytest.raises(WeightsError, match=r"the state of a solver; the weights are in x_iter_100\.caffemodel\.h5"):
        filler_client.open_weights(tmp_path / "x.solverstate.h5")
