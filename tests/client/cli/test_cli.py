"""The command line as a process: what it prints, writes and returns."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from caffe_filler.errors import PrototxtError
from filler_client import FanAxes, FillerClient
from filler_client.cli.main import filler
from tests.client.cli.command import fail, run, run_anew, succeed
from tests.processes import ServerProcess

LENET = Path(__file__).parents[2] / "nets" / "lenet.prototxt"


def test_plan_json(nets: Path) -> None:
    plan = json.loads(succeed("plan", nets / "lenet.prototxt", "--json", "--phase", "TEST"))
    assert list(plan) == [
        *("name", "phase", "level", "stages", "layers", "edges", "inputs", "outputs", "warnings", "parameters")
    ]
    assert (plan["phase"], plan["parameters"], plan["warnings"]) == ("TEST", 431080, [])
    layers = {layer["name"]: layer for layer in plan["layers"]}
    conv = layers["conv1"]
    assert (conv["type"], conv["bottoms"]) == ("Convolution", ["data"])
    assert conv["tops"] == [{"name": "conv1", "shape": [64, 20, 24, 24]}]
    assert (conv["operation"]["type"], conv["operation"]["kernel"]) == ("Convolution", [5, 5])
    weight = conv["blobs"][0]
    assert {key: weight[key] for key in ("name", "shape", "owner", "count", "fan_in", "fan_out")} == {
        "name": "conv1/0",
        "shape": [20, 1, 5, 5],
        "owner": None,
        "count": 500,
        "fan_in": 25,
        "fan_out": 500,
    }
    assert weight["std"] == pytest.approx(0.2)
    assert 'type: "xavier"' in weight["filler"]


def test_unknown_dimensions_are_null_and_say_what_would_settle_them(nets: Path, tmp_path: Path) -> None:
    plan = json.loads(succeed("plan", nets / "unknown_dims.prototxt", "--json"))
    shapes = {blob["name"]: blob["shape"] for layer in plan["layers"] for blob in layer["blobs"]}
    unknown = {name: shape for name, shape in shapes.items() if None in shape}
    assert unknown == {"conv1/0": [32, None, 3, 3], "unknown/0": [10, None]}
    assert len(plan["warnings"]) == 2
    for name, warning in zip(unknown, plan["warnings"], strict=True):
        assert f"'{name}'" in warning["message"]
        assert "give --input data=16,C,H,W" in warning["message"]
    stderr = fail(1, "init", nets / "unknown_dims.prototxt", "-o", tmp_path / "out.npz")
    assert "give --input data=16,C,H,W" in stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_plan_table_has_every_blob_and_the_count(nets: Path) -> None:
    table = succeed("plan", nets / "caffenet.prototxt", "--input", "data=256,3,227,227").decode()
    assert "60,965,224 parameters" in table
    assert "4096x9216" in table
    assert "gaussian std: 0.005" in table
    assert all(line == line.rstrip() for line in table.splitlines())


MISSPELLED = b"""layer { name: "d" type: "Input" top: "d" input_param { shape { dim: [1, 3] } } magic: 1 }
layer { name: "i" type: "InnerProduct" bottom: "d" top: "i" inner_product_param { num_ouput: 4 num_output: 2 } }"""


@pytest.mark.parametrize("remote", [False, True])
def test_a_misspelled_field_is_refused_after_the_warnings(remote: bool, server: ServerProcess, tmp_path: Path) -> None:
    net, output = tmp_path / "net.prototxt", tmp_path / "out.npz"
    net.write_bytes(MISSPELLED)
    where = ["--server", server.address] if remote else []
    assert fail(1, "init", net, "-o", output, *where).splitlines() == [
        f"{net}:1:80: warning: layer 'd': LayerParameter has no field magic, passed over",
        f"filler: {net}:2:83: InnerProductParameter has no field num_ouput (did you mean num_output?); "
        "--lenient passes over it. Received: num_ouput",
    ]
    assert not output.exists()
    assert fail(1, "upgrade", net, tmp_path / "new", *where).splitlines()[-1].startswith(f"filler: {net}:2:83: ")
    succeed("init", net, "-o", output, "--lenient", *where)
    assert fail(1, "plan", net, "--strict", *where).splitlines()[-1] == (
        f"filler: {net}:1:80: LayerParameter has no field magic. Received: magic"
    )
    with pytest.raises(PrototxtError, match="lenient=True passes over it"):
        (FillerClient(server.address) if remote else FillerClient.embedded()).plan_net(net)


def test_plan_of_a_server_is_the_same(nets: Path, server: ServerProcess) -> None:
    arguments = ("plan", nets / "googlenet_deploy.prototxt", "--json")
    assert succeed(*arguments, "--server", server.address) == succeed(*arguments)
    assert succeed(*arguments, env={"FILLER_SERVER": server.address}) == succeed(*arguments)


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
@pytest.mark.parametrize("dtype", ["f32", "f64", "f16"])
def test_init_writes_the_same_file_here_and_from_a_server(
    nets: Path, server: ServerProcess, tmp_path: Path, ending: str, dtype: str
) -> None:
    here, there = tmp_path / f"here.{ending}", tmp_path / f"there.{ending}"
    arguments = (
        "init",
        nets / "siamese_mnist.prototxt",
        "--input",
        "pair_data=64,2,28,28",
        "--seed",
        3,
        "--dtype",
        dtype,
    )
    succeed(*arguments, "-o", here)
    succeed(*arguments, "-o", there, "--server", server.address)
    assert here.read_bytes() == there.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([here.name, there.name])
    weights = load_file(here) if ending == "safetensors" else dict(np.load(here))
    with FillerClient.embedded() as client:
        expected = client.init_net(
            nets / "siamese_mnist.prototxt", inputs={"pair_data": (64, 2, 28, 28)}, seed=3, dtype=dtype
        )
    assert set(weights) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array)
    np.testing.assert_array_equal(weights["conv1_p/0"], weights["conv1/0"])


def test_init_bfloat16_and_torch_names(nets: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    table = succeed("init", nets / "resnet50.prototxt", "-o", path, "--dtype", "bf16", "--names", "torch").decode()
    assert "25,610,269 parameters" in table
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    assert header["__metadata__"]["producer"] == "caffe-filler"
    assert header["conv1.weight"] == {"dtype": "BF16", "shape": [64, 3, 7, 7], "data_offsets": [0, 18816]}
    names = {"bn_conv1.weight", "bn_conv1.bias", "bn_conv1.running_mean", "bn_conv1.running_var", "fc1000.bias"}
    assert names <= set(header)
    assert not any(name.startswith("scale_conv1") for name in header)
    message = fail(1, "init", nets / "lenet.prototxt", "-o", tmp_path / "w.npz", "--dtype", "bf16")
    assert "bfloat16" in message
    assert not (tmp_path / "w.npz").exists()


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors"])
def test_fill(server: ServerProcess, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"w.{ending}"
    arguments = (
        "fill",
        'type: "msra"',
        "--shape",
        "64,3,7,7",
        "--seed",
        5,
        "--name",
        "conv1/0",
        "--region",
        "8:16,:,:,:",
    )
    succeed(*arguments, "-o", path, "--server", server.address)
    array = {
        "npy": lambda: np.load(path),
        "npz": lambda: np.load(path)["conv1/0"],
        "safetensors": lambda: load_file(path)["conv1/0"],
    }[ending]()
    with FillerClient.embedded() as client:
        whole = client.fill("msra", (64, 3, 7, 7), seed=5, name="conv1/0")
    np.testing.assert_array_equal(array, whole[8:16])


@pytest.mark.parametrize("remote", [False, True])
def test_fill_in_a_layout(remote: bool, server: ServerProcess, tmp_path: Path) -> None:
    where = ["--server", server.address] if remote else []
    fill = ("fill", "xavier", "--shape", "2,30,40", "--name", "w", "-o", tmp_path / "w.npy", *where)
    succeed(*fill, "--layout", "stack,in,out")
    want = FillerClient.embedded().fill("xavier", (2, 30, 40), name="w", axes=FanAxes(1, 2, 0))
    assert np.load(tmp_path / "w.npy").tobytes() == want.tobytes()
    succeed(*fill, "--layout", "in,out,out")
    want = FillerClient.embedded().fill("xavier", (2, 30, 40), name="w", axes=FanAxes(inputs=0, outputs=(1, 2)))
    assert np.load(tmp_path / "w.npy").tobytes() == want.tobytes()
    stderr = fail(1, *fill, "--layout", "stack,in")
    assert stderr.endswith("a layout has a word for each axis of the shape [2, 30, 40]. Received: --layout stack,in\n")


def test_fill_to_standard_output() -> None:
    npy = succeed("fill", "xavier", "--shape", "10,10", "--region", "flat:5:20", "-o", "-")
    with FillerClient.embedded() as client:
        whole = client.fill("xavier", (10, 10))
    np.testing.assert_array_equal(np.lib.format.read_array(io.BytesIO(npy)), whole.reshape(-1)[5:20])


def test_fillers_and_completion() -> None:
    listed = json.loads(succeed("fillers", "--json"))
    assert {"type", "description", "fields"} <= set(listed[0])
    assert "variance_norm: FAN_IN" in succeed("fillers").decode()
    for shell in ("bash", "zsh", "fish"):
        assert b"_FILLER_COMPLETE" in succeed("completion", shell)


@pytest.mark.parametrize("verb", [(), *((name,) for name in filler.commands)], ids=" ".join)
def test_every_verb_has_help_with_examples(verb: tuple[str, ...]) -> None:
    assert b"Examples:" in succeed(*verb, "--help")


def test_wrong_usage_ends_with_2(nets: Path) -> None:
    assert "Missing option" in fail(2, "init", nets / "lenet.prototxt")
    assert "No such command" in fail(2, "fil")
    assert "Received: 3,x" in fail(2, "fill", "msra", "--shape", "3,x", "-o", "-")
    assert "Received: data" in fail(2, "plan", nets / "lenet.prototxt", "--input", "data")
    assert "does not exist" in fail(2, "plan", "nowhere.prototxt")
    assert "0<=x<=18446744073709551615" in fail(2, "fill", "msra", "--shape", "3,3", "--seed", -1, "-o", "-")


def test_what_is_said_of_a_server_needs_one(nets: Path) -> None:
    alone = run("plan", nets / "lenet.prototxt", "--tls", "--retry-for", "5")
    assert alone.returncode == 2
    assert b"--tls, --retry-for go with --server." in alone.stderr
    alone = run("fill", "msra", "--shape", "3,3", "--name", "a", "-o", "-", "--timeout", "5")
    assert (alone.returncode, alone.stdout) == (2, b"")
    assert b"--timeout goes with --server." in alone.stderr
    alone = run("plan", nets / "lenet.prototxt", "--seed", "3", "--data-draws", "none")
    assert alone.returncode == 2
    assert b"--seed, --data-draws go with --draws." in alone.stderr
    # The environment is that of all commands.
    assert run("plan", nets / "lenet.prototxt", env={"FILLER_TIMEOUT": "5"}).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("fill", "xavier", "-o", "a.npy", "--shape"),
        ("fill", "xavier", "--shape", "3", "-o", "a.npy", "--region", "0:"),
        ("init", "lenet.prototxt", "-o", "w.npz", "--stream", "caffe", "--data-draws"),
        ("init", "lenet.prototxt", "-o", "w.safetensors", "--max-shard-size"),
    ],
)
def test_numbers_of_more_digits_than_are_read_are_wrong_usage(arguments: tuple[str, ...]) -> None:
    *others, last = arguments
    number = "1" * 5000
    asked = [*others, last + number] if last.endswith(":") else [*arguments, number]
    assert f"Invalid value for '{[one for one in arguments if one.startswith('--')][-1]}'" in fail(2, *asked)


def test_options_that_say_two_things_of_what_to_print(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    path = tmp_path / "a.npz"
    assert "without --list and --json" in fail(2, "inspect", path, "--net", "--json")
    assert "--quiet prints nothing" in fail(2, "diff", path, path, "--quiet", "--json")


def test_a_failure_ends_with_1_in_one_line(nets: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.prototxt"
    broken.write_text('layer {\n  name: "a"\n  type: }\n')
    assert f"{broken}:3:9:" in fail(1, "plan", broken)
    for arguments, text in {
        ("fill", "xaver", "--shape", "3,3", "-o", tmp_path / "w.npy"): "xavier",
        ("fill", "msra", "--shape", "0,3", "-o", tmp_path / "w.npy"): "Received: shape=[0, 3]",
        ("fill", "msra", "--shape", "3,3", "-o", tmp_path / "w.bin"): ".npz, .npy, .safetensors",
        ("fill", "msra", "--shape", "3,3", "-o", tmp_path / "no" / "w.npy"): "No such file",
        ("init", nets / "lenet.prototxt", "-o", tmp_path / "w.npy"): "one tensor",
        ("fill", "msra", "--shape", "3,3", "-o", tmp_path / "w.npy", "--server", ","): "address of a server",
    }.items():
        stderr = fail(1, *arguments)
        assert text in stderr
        assert stderr.count("\n") == 1, stderr
    assert list(tmp_path.iterdir()) == [broken]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("plan", LENET, "--json"),
        ("fill", "xavier", "--shape", "3,4", "--name", "a", "-o", "-"),
        ("init", LENET, "-o", "nowhere/weights.none"),
        ("inspect", LENET),
        ("lint", LENET),
        ("health",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_interpreter_of_its_own_does_the_same(arguments: tuple[object, ...]) -> None:
    """Other tests fork their processes from one that has imported everything."""
    anew, forked = run_anew(*arguments), run(*arguments)
    assert (anew.returncode, anew.stdout, anew.stderr) == (forked.returncode, forked.stdout, forked.stderr)


def test_the_help_of_fill_is_about_one_blob() -> None:
    help_text = succeed("fill", "--help").decode()
    assert "--seed N" in help_text
    assert "solver" not in help_text
