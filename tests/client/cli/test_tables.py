"""Tables and counts for people: lines of 80 columns where no terminal says how wide it is, and the right number."""

from pathlib import Path

import pytest

from filler_client import FillerClient
from tests.client.cli.command import run

NAME = "inception_resnet_v2_reduction_a/branch"

ONE = f"""layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: [1, 1] }} }} }}
layer {{ name: "{NAME}" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param {{ num_output: 1 bias_term: false weight_filler {{ type: "gaussian" std: 0.0123456789 }} }} }}
"""


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A net of one weight, in a layer of a long name."""
    path = tmp_path / "one.prototxt"
    path.write_text(ONE)
    return path


def said(*arguments: object, columns: str = "") -> list[str]:
    done = run(*arguments, env={"COLUMNS": columns})
    assert done.stdout, done.stderr
    return [*done.stdout.decode().splitlines(), *done.stderr.decode().splitlines()]


def test_tables_fit_80_columns(nets: Path, tmp_path: Path) -> None:
    lenet, googlenet = tmp_path / "lenet.caffemodel", nets / "googlenet_train_val.prototxt"
    data = ("--input", "data=32,3,224,224", "--input", "label=32")
    tables = {
        "plan": ("plan", googlenet, *data),
        "draws": ("plan", nets / "squeezenet_v1_0.prototxt", "--draws", "--input", "data=1,3,227,227"),
        "init": ("init", nets / "lenet.prototxt", "--seed", "1", "-o", lenet),
        "inspect": ("inspect", lenet),
        "merge": ("init", nets / "lenet.prototxt", "--weights", lenet, "--dry-run"),
        "diff": ("diff", lenet, lenet, "--all"),
        "fillers": ("fillers",),
    }
    for name, arguments in tables.items():
        lines = said(*arguments)
        table = [line for line in lines if ": warning: " not in line and str(tmp_path) not in line]
        assert max(map(len, table)) <= 80, (name, max(table, key=len))
        assert len(table) > 5


def test_tables_are_as_wide_as_the_terminal(one: Path) -> None:
    wide = said("plan", one, columns="200")
    assert [line.split() for line in wide if "gaussian" in line] == [
        [f"{NAME}/0", "1x1", "gaussian", "std:", "0.012345679", "1", "1", "0.01235", "1"]
    ]
    assert len(said("plan", one, columns="60")) > len(wide)


def test_counts_are_in_the_right_number(one: Path, tmp_path: Path) -> None:
    weights, copy = tmp_path / "one.npz", tmp_path / "one.safetensors"
    assert said("plan", one)[-1] == "1 parameter, 4 B as float32"
    assert said("init", one, "-o", weights)[-1].startswith("1 parameter, 4 B in ")
    assert said("init", one, "--weights", weights, "--dry-run")[-1].startswith("1 blob: 1 copied, ")
    assert said("convert", weights, copy)[0].startswith("npz: 1 tensor, 4 B in ")
    assert said("inspect", copy)[-1].startswith("safetensors: 1 tensor, 1 value, ")
    assert said("diff", weights, copy) == ["1 of 1 tensor is equal"]
    assert repr(FillerClient.embedded().plan_net(one)).endswith("2 layers, 1 blob, 1 parameter)")


def test_sizes_are_in_binary_units(nets: Path, tmp_path: Path) -> None:
    weights = tmp_path / "lenet.npz"
    assert ", 1.644 MiB in " in said("init", nets / "lenet.prototxt", "-o", weights)[-1]
    assert ", 1.644 MiB in " in said("convert", weights, tmp_path / "lenet.safetensors")[-1]
    assert said("inspect", weights)[-1].endswith(", 1.644 MiB")
    assert said("plan", nets / "lenet.prototxt")[-1] == "431,080 parameters, 1.644 MiB as float32"


def test_init_names_the_owner_of_shared_values(nets: Path, tmp_path: Path) -> None:
    lines = said("init", nets / "shared_three_ways.prototxt", "-o", tmp_path / "w.npz")
    (shared,) = [line for line in lines if line.startswith("permissive/0 ")]
    assert shared.split()[1:5] == ["24x16", "=", "see_one/0", "0.2041"]
