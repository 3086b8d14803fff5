"""Files of weights on the command line: convert, inspect, diff, and init --weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from caffe_filler.caffe.caffe_pb2 import NetParameter
from tests.client.cli.command import fail, run, succeed
from tests.processes import ServerProcess
from tests.weights.messages import legacy_blob, net_of_layers, save

SIX = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
TWO = np.array([0, 8], np.float32)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save(tmp_path / "w.caffemodel", net_of_layers(ip=[SIX, TWO]))


@pytest.fixture
def lenet(tmp_path: Path, nets: Path) -> Path:
    """LeNet filled, as Caffe would have it in a file."""
    path = tmp_path / "lenet.caffemodel"
    succeed("init", nets / "lenet.prototxt", "--seed", 1, "-o", path)
    return path


def test_convert_to_each_format_and_diff(weights: Path, tmp_path: Path) -> None:
    for ending in ("h5", "safetensors"):
        target = tmp_path / f"out.{ending}"
        assert "caffemodel: 2 tensors, 32 B in" in succeed("convert", weights, target).decode()
        assert succeed("diff", weights, target) == b"2 of 2 tensors are equal\n"
        succeed("convert", target, tmp_path / "back.caffemodel", "--net", weights)
        succeed("diff", weights, tmp_path / "back.caffemodel", "-q")


def test_convert_options(weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.safetensors"
    succeed("convert", weights, target, "--names", "torch", "--dtype", "f16", "--max-shard-size", "12B")
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = tmp_path / "model.safetensors.index.json"
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, index.name, weights.name]
    assert load_file(tmp_path / names[0])["ip.weight"].tolist() == SIX.tolist()
    listed = json.loads(succeed("inspect", index, "--json", "--list"))
    assert [(entry["name"], entry["dtype"]) for entry in listed["tensors"]] == [
        ("ip.weight", "float16"),
        ("ip.bias", "float16"),
    ]
    assert listed["metadata"].pop("caffe_filler.manifest")
    assert listed["metadata"] == {"producer": "caffe-filler", "format": "pt"}
    stderr = fail(2, "convert", weights, target, "--max-shard-size", "many")
    assert "a size is like 500MiB, 5GiB or 2GB. Received: many" in stderr


def test_no_net_and_no_set_of_shards_is_lost_to_a_conversion(weights: Path, tmp_path: Path) -> None:
    target, net = tmp_path / "model.safetensors", tmp_path / "net.prototxt"
    succeed("convert", weights, target, "--max-shard-size", "12B")
    net.write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3] } } }\n'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }\n'
    )
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    index = tmp_path / "model.safetensors.index.json"
    for arguments in ((tmp_path / "model-00001-of-00002.safetensors", target), (weights, net, "--net", net)):
        assert "write over a file that is read" in fail(1, "convert", *arguments)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    succeed("convert", index, target)
    assert not index.exists()
    succeed("convert", target, target)


@pytest.mark.parametrize("options", [["--reshape"], ["--phase", "TRAIN"], ["--stage", "a"], ["--input", "data=1,2"]])
def test_options_of_a_net_need_one(weights: Path, tmp_path: Path, options: list[str]) -> None:
    target = tmp_path / "out.npz"
    assert f"they go with --net. Received: {options[0]}" in fail(1, "convert", weights, target, *options)
    assert not target.exists()


def test_init_says_where_nothing_is_copied(tmp_path: Path, nets: Path) -> None:
    other = save(tmp_path / "other.caffemodel", net_of_layers(stranger=[SIX]))
    target = tmp_path / "w.npz"
    finished = run("init", nets / "lenet.prototxt", "--weights", other, "-o", target)
    assert finished.returncode == 0
    assert f"warning: nothing is copied from {other}: its layers have other names" in finished.stderr.decode()


def test_convert_says_what_it_cannot_keep(tmp_path: Path) -> None:
    path = save(tmp_path / "w", net_of_layers(ip=[np.array([1e6], np.float32)]))
    done = run("convert", path, tmp_path / "w.npz", "--dtype", "f16")
    assert done.returncode == 0
    assert "note: 'ip/0': 1 value is beyond float16 and became infinite" in done.stderr.decode()


def test_convert_refuses(weights: Path, tmp_path: Path) -> None:
    succeed("convert", weights, tmp_path / "w.npz")
    before = sorted(tmp_path.iterdir())
    for arguments, text in (
        (("convert", tmp_path / "w.npz", tmp_path / "out.caffemodel"), "so it needs the option --net"),
        (("convert", tmp_path / "w.npz", tmp_path / "out.pt", "--names", "torch"), "and so the option --net"),
        (("convert", weights, tmp_path / "out.bin"), "a file of weights ends in .caffemodel"),
        (("convert", weights, tmp_path / "out.npy"), "a .npy file holds one tensor"),
        (("convert", weights, tmp_path / "out.npz", "--dtype", "bf16"), "bfloat16"),
        (("convert", weights, tmp_path / "no" / "out.npz"), "No such file"),
        (("convert", __file__, tmp_path / "out.npz"), "text, such as the prototxt"),
    ):
        stderr = fail(1, *arguments)
        assert text in stderr
        assert stderr.count("\n") == 1, stderr
    assert sorted(tmp_path.iterdir()) == before


def test_inspect(weights: Path) -> None:
    document = json.loads(succeed("inspect", weights, "--json"))
    assert (document["format"], document["net"], document["problems"]) == ("caffemodel", "net", [])
    first = document["tensors"][0]
    assert {key: first[key] for key in ("name", "layer", "index", "type", "shape", "dtype", "bytes", "zeros")} == {
        "name": "ip/0",
        "layer": "ip",
        "index": 0,
        "type": "InnerProduct",
        "shape": [2, 3],
        "dtype": "float32",
        "bytes": 24,
        "zeros": 0,
    }
    assert (first["mean"], first["minimum"], first["maximum"]) == (3.5, 1, 6)
    assert first["std"] == pytest.approx(np.std([1, 2, 3, 4, 5, 6]))
    table = succeed("inspect", weights).decode()
    assert first["sha256"][:12] in table
    assert "caffemodel 'net': 2 tensors, 8 values, 32 B" in table
    listed = succeed("inspect", weights, "--list").decode()
    assert "2x3" in listed
    assert "mean" not in listed


def test_inspect_tells_of_what_is_no_number(tmp_path: Path) -> None:
    path = save(tmp_path / "w", net_of_layers(ip=[np.array([1, np.nan], np.float32)]))
    done = run("inspect", path)
    assert done.returncode == 0
    assert b"infinite or no numbers in ip/0" in done.stderr
    assert json.loads(succeed("inspect", path, "--json"))["tensors"][0]["nonfinite"] == 1


def test_diff(weights: Path, tmp_path: Path) -> None:
    other = save(tmp_path / "other", net_of_layers(ip=[SIX + 0.25, TWO[:1]], more=[TWO]))
    done = run("diff", weights, other)
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["ip/0", "differs"], ["ip/1", "shape"]]
    assert "only in B" in lines[3]
    assert lines[-1] == "0 of 3 tensors are equal"
    entries = json.loads(run("diff", weights, other, "--json").stdout)
    assert [entry["verdict"] for entry in entries] == ["differs", "shape", "only in B"]
    assert (entries[0]["max_difference"], entries[0]["different"]) == (0.25, 6)
    assert run("diff", weights, other, "--quiet").stdout == b""
    close = save(tmp_path / "close", net_of_layers(ip=[SIX + 0.25, TWO]))
    assert fail(1, "diff", weights, close, "-q") == ""
    succeed("diff", weights, close, "--atol", 0.25)
    assert "text, such as" in fail(2, "diff", weights, __file__)


def test_a_legacy_mean(tmp_path: Path) -> None:
    mean = save(tmp_path / "imagenet_mean", legacy_blob(np.ones((1, 3, 2, 2), np.float32)).SerializeToString())
    succeed("convert", mean, tmp_path / "mean.npy")
    assert np.load(tmp_path / "mean.npy").shape == (1, 3, 2, 2)


def finetune_net(nets: Path, path: Path) -> Path:
    text = (nets / "lenet.prototxt").read_text()
    path.write_text(text.replace('"ip2"', '"ip2_new"').replace("num_output: 10", "num_output: 3"))
    return path


@pytest.mark.parametrize("stream", ["philox", "caffe"])
def test_init_from_weights(lenet: Path, nets: Path, tmp_path: Path, server: ServerProcess, stream: str) -> None:
    net = finetune_net(nets, tmp_path / "new.prototxt")
    arguments = ("init", net, "--weights", lenet, "--seed", 2, "--stream", stream)
    table = succeed(*arguments, "-o", tmp_path / "here.npz").decode()
    assert "8 blobs: 6 copied, 0 reshaped, 2 filled, 0 conflict; 2 unused in the files" in table
    succeed(*arguments, "-o", tmp_path / "there.npz", "--server", server.address)
    assert (tmp_path / "here.npz").read_bytes() == (tmp_path / "there.npz").read_bytes()
    succeed("init", net, "--seed", 2, "--stream", stream, "-o", tmp_path / "whole.npz")
    succeed("convert", lenet, tmp_path / "old.npz")
    got, whole, old = (np.load(tmp_path / f"{name}.npz") for name in ("here", "whole", "old"))
    assert set(got) == set(whole)
    for name in got:
        np.testing.assert_array_equal(got[name], (whole if name.startswith("ip2_new") else old)[name])


def test_init_dry_run_and_conflicts(lenet: Path, nets: Path, tmp_path: Path) -> None:
    net = finetune_net(nets, tmp_path / "new.prototxt")
    plan = succeed("init", net, "--weights", lenet, "--dry-run").decode()
    assert f"unused: ip2/0 10x500 of {lenet.name}" in plan
    text = net.read_text().replace("ip2_new", "ip2")
    net.write_text(text)
    done = run("init", net, "--weights", lenet, "--dry-run")
    assert done.returncode == 1
    assert b"conflict: " in done.stdout
    out = ("-o", tmp_path / "w.npz")
    assert "[3, 500] in the net and [10, 500] in the file" in fail(1, "init", net, "--weights", lenet, *out)
    assert not (tmp_path / "w.npz").exists()
    succeed("init", net, "--weights", lenet, "--ignore-shape", *out)
    assert np.load(tmp_path / "w.npz")["ip2/0"].shape == (3, 500)
    assert "go with --weights" in fail(2, "init", net, "--dry-run")
    assert "'-o' / '--output'" in fail(2, "init", net, "--weights", lenet)


def test_init_writes_a_caffemodel_that_describes_its_net(lenet: Path, nets: Path, server: ServerProcess) -> None:
    net = NetParameter.FromString(lenet.read_bytes())
    assert net.name == "LeNet"
    assert [layer.type for layer in net.layer][:3] == ["Input", "Convolution", "Pooling"]
    assert [list(blob.shape.dim) for blob in net.layer[1].blobs] == [[20, 1, 5, 5], [20]]
    there = lenet.with_name("there.caffemodel")
    succeed("init", nets / "lenet.prototxt", "--seed", 1, "-o", there, "--server", server.address)
    assert there.read_bytes() == lenet.read_bytes()
