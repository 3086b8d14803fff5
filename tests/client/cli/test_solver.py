"""Solvers, and Caffe's own stream, on the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.client.cli.command import fail, run, succeed
from tests.processes import ServerProcess

INPUTS = ("--input", "data=?,1,28,28")
"""The batch is the one of each net."""


@pytest.fixture
def solver(tmp_path: Path, nets: Path) -> Path:
    """A solver in the manner of Caffe's examples: its net is named from a folder above."""
    folder = tmp_path / "examples" / "mnist"
    folder.mkdir(parents=True)
    (folder / "lenet.prototxt").write_bytes((nets / "lenet_train_test.prototxt").read_bytes())
    path = folder / "solver.prototxt"
    path.write_text('net: "examples/mnist/lenet.prototxt"\ntest_iter: 1\ntest_interval: 5\nrandom_seed: 1701\n')
    return path


def test_plan_of_a_solver_is_its_nets(solver: Path) -> None:
    plans = json.loads(succeed("plan", "--solver", solver, *INPUTS, "--json", "--draws"))
    assert [plan["phase"] for plan in plans] == ["TRAIN", "TEST"]
    assert all(plan["sequential"] for plan in plans)
    assert [sum(layer["draws"] for layer in plan["layers"]) for plan in plans] == [430_501, 430_501]
    assert b"(TEST)" in succeed("plan", "--solver", solver, *INPUTS)


def test_init_of_a_solver_takes_seed_state_and_net(
    solver: Path, nets: Path, server: ServerProcess, tmp_path: Path
) -> None:
    for stream in ("philox", "caffe", "caffe-1.55"):
        files = [tmp_path / f"{name}.npz" for name in ("solver", "server", "net")]
        succeed("init", "--solver", solver, *INPUTS, "--stream", stream, "-o", files[0])
        succeed("init", "--solver", solver, *INPUTS, "--stream", stream, "-o", files[1], "--server", server.address)
        net = nets / "lenet_train_test.prototxt"
        succeed("init", net, *INPUTS, "--stream", stream, "--seed", 1701, "-o", files[2])
        assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()


def test_a_test_net_draws_after_the_train_net(solver: Path, tmp_path: Path) -> None:
    train, test = tmp_path / "train.npz", tmp_path / "test.npz"
    succeed("init", "--solver", solver, *INPUTS, "--stream", "caffe", "-o", train)
    succeed("init", "--solver", solver, *INPUTS, "--stream", "caffe", "-o", test, "--test-net", 0)
    assert not np.array_equal(np.load(train)["conv1/0"], np.load(test)["conv1/0"])
    assert "there are 1 test nets" in fail(2, "init", "--solver", solver, "--test-net", 1, "-o", test)


@pytest.mark.parametrize("command", [["plan"], ["init", "-o", "out.npz"], ["check"]])
def test_a_solver_has_the_phases_of_its_nets(solver: Path, command: list[str]) -> None:
    stderr = fail(2, *command, "--solver", solver, *INPUTS, "--phase", "TEST")
    assert "--phase TEST goes with NET: the nets of a solver have phases of their own." in stderr


def test_data_draws_need_a_stream_of_caffe(solver: Path, tmp_path: Path) -> None:
    stderr = fail(1, "init", "--solver", solver, *INPUTS, "--data-draws", "none", "-o", tmp_path / "w.npz")
    assert "--data-draws goes with a stream of Caffe" in stderr


def test_data_draws_move_the_stream(solver: Path, tmp_path: Path) -> None:
    emulated, none = tmp_path / "emulate.npz", tmp_path / "none.npz"
    succeed("init", "--solver", solver, *INPUTS, "--stream", "caffe", "-o", emulated)
    succeed("init", "--solver", solver, *INPUTS, "--stream", "caffe", "--data-draws", "none", "-o", none)
    first, second = (np.load(path)["conv1/0"].reshape(-1) for path in (emulated, none))
    # The data layer draws one output, so that everything after it moves by one value.
    np.testing.assert_array_equal(first[:-1], second[1:])


def test_data_draws_as_a_number(solver: Path, tmp_path: Path) -> None:
    one, emulated = tmp_path / "one.npz", tmp_path / "emulate.npz"
    succeed("init", "--solver", solver, *INPUTS, "--stream", "caffe", "--data-draws", "1", "-o", one)
    succeed("init", "--solver", solver, *INPUTS, "--stream", "caffe", "-o", emulated)
    np.testing.assert_array_equal(np.load(one)["conv1/0"], np.load(emulated)["conv1/0"])
    assert "not emulate, rc3, none or a number" in fail(2, "init", "--solver", solver, "--data-draws", "-1", "-o", one)


def test_an_unseeded_solver_says_so(solver: Path, tmp_path: Path) -> None:
    solver.write_text(solver.read_text().replace("random_seed: 1701\n", ""))
    done = run("init", "--solver", solver, *INPUTS, "-o", tmp_path / "w.npz")
    assert done.returncode == 0
    assert b"no random_seed" in done.stderr


def test_what_is_wrong_with_a_solver_is_said(solver: Path, tmp_path: Path, nets: Path) -> None:
    out = ("-o", tmp_path / "w.npz")
    assert "exactly one of the two" in fail(2, "plan")
    assert "exactly one of the two" in fail(2, "init", nets / "lenet.prototxt", "--solver", solver, *out)
    solver.write_text('net: "examples/mnist/gone.prototxt"\n')
    assert "gone.prototxt" in fail(1, "init", "--solver", solver, *out)
    solver.write_text("base_lr: 0.1\n")
    assert "train net" in fail(1, "init", "--solver", solver, *out)
    solver.write_text("base_lr: x\n")
    assert f"{solver}:1:10:" in fail(1, "init", "--solver", solver, *out)
    assert not (tmp_path / "w.npz").exists()


WEIGHTS_NET = """
layer { name: "d" type: "Input" top: "d" input_param { shape { dim: [1, 2] } } }
layer { name: "i" type: "InnerProduct" bottom: "d" top: "i"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "j" type: "InnerProduct" bottom: "i" top: "j"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "k" type: "InnerProduct" bottom: "j" top: "k" include { phase: TEST }
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""


@pytest.fixture
def with_weights(tmp_path: Path) -> Path:
    """A folder with a net and trained weights of its layers: i alone, j alone, and all."""
    (tmp_path / "net.prototxt").write_text(WEIGHTS_NET)
    succeed("init", tmp_path / "net.prototxt", "--phase", "TEST", "--seed", 7, "-o", tmp_path / "all.npz")
    trained = dict(np.load(tmp_path / "all.npz"))
    for layer in "ij":
        np.savez(
            tmp_path / f"{layer}.npz", **{f"{layer}/{blob}": trained[f"{layer}/{blob}"] + ord(layer) for blob in (0, 1)}
        )
    return tmp_path


def started(folder: Path, weights: str, *options: object) -> dict[str, np.ndarray[Any, Any]]:
    """Return what `init` writes for a solver with these lines."""
    solver = folder / "solver.prototxt"
    solver.write_text(f'net: "net.prototxt" test_iter: 1 test_interval: 1 random_seed: 3\n{weights}\n')
    output = folder / "out.npz"
    succeed("init", "--solver", solver, "-o", output, *options)
    return dict(np.load(output))


@pytest.mark.parametrize(
    "weights",
    [
        'weights: "i.npz,j.npz"',
        'weights: " i.npz , j.npz "',
        'weights: "i.npz" weights: "j.npz"',
        'weights: ["all.npz", "i.npz,j.npz"]',
    ],
)
def test_a_solver_starts_from_its_weights(with_weights: Path, weights: str) -> None:
    found = started(with_weights, weights)
    for layer in "ij":
        np.testing.assert_array_equal(found[f"{layer}/0"], np.load(with_weights / f"{layer}.npz")[f"{layer}/0"])


def test_later_weights_of_a_solver_count(with_weights: Path) -> None:
    trained = np.load(with_weights / "all.npz")
    assert np.array_equal(started(with_weights, 'weights: "i.npz,all.npz"')["i/0"], trained["i/0"])
    plain = started(with_weights, "")
    assert not np.array_equal(plain["i/0"], trained["i/0"])


def test_test_nets_start_from_the_weights_too(with_weights: Path) -> None:
    found = started(with_weights, 'weights: "i.npz"', "--test-net", 0)
    np.testing.assert_array_equal(found["i/0"], np.load(with_weights / "i.npz")["i/0"])
    np.testing.assert_array_equal(found["k/0"], started(with_weights, "", "--test-net", 0)["k/0"])


def test_weights_of_the_command_line_take_the_place_of_the_solver_s(with_weights: Path) -> None:
    found = started(with_weights, 'weights: "gone.npz"', "--weights", with_weights / "j.npz")
    np.testing.assert_array_equal(found["j/0"], np.load(with_weights / "j.npz")["j/0"])
    np.testing.assert_array_equal(found["i/0"], started(with_weights, "")["i/0"])


def test_a_solver_s_weights_that_are_not_there(with_weights: Path) -> None:
    solver = with_weights / "solver.prototxt"
    out = ("-o", with_weights / "out.npz")
    solver.write_text('net: "net.prototxt" weights: "gone.npz"')
    assert "gone.npz" in fail(1, "init", "--solver", solver, *out).splitlines()[-1]
    assert b"the nets start from the weights in gone.npz" in run("plan", "--solver", solver).stderr
    solver.write_text('net: "net.prototxt" weights: "i.npz,,j.npz"')
    assert fail(1, "init", "--solver", solver, *out).splitlines()[-1].startswith(f"filler: {solver}: weights of a")
    solver.write_text('net: "net.prototxt"')
    assert "the solver names none" in fail(2, "init", "--solver", solver, "--dry-run")
    assert not (with_weights / "out.npz").exists()


def test_what_a_solver_would_copy(with_weights: Path) -> None:
    solver = with_weights / "solver.prototxt"
    solver.write_text('net: "net.prototxt" weights: "i.npz"')
    assert b"2 copied" in succeed("init", "--solver", solver, "--dry-run")


def test_errors_of_a_solver_s_rules_name_its_file(solver: Path, tmp_path: Path) -> None:
    solver.write_text('net: "a" test_net: "b"')
    assert fail(1, "plan", "--solver", solver).startswith(f"filler: {solver}: test_iter must be specified")
    solver.write_text(f'net: "a" test_interval: 1 {"test_iter: 1 " * 1100}')
    assert fail(1, "plan", "--solver", solver).startswith(f"filler: {solver}: over the limit test_nets=1024")
    deep = tmp_path / "deep.prototxt"
    deep.write_text("a { " * 200)
    assert fail(1, "plan", deep).splitlines()[-1].startswith(f"filler: {deep}: line 1: over the limit nesting=100")
    filler = tmp_path / "filler.prototxt"
    filler.write_text(WEIGHTS_NET.replace("xavier", "xaver"))
    out = ("-o", tmp_path / "w.npz")
    assert fail(1, "init", filler, *out).splitlines()[-1].startswith(f"filler: {filler}: ")


def test_upgrade(tmp_path: Path, server: ServerProcess) -> None:
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text(
        '# kept\nname: "n"\ninput: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 8\ninput_dim: 8\n'
        'layers { name: "c" type: CONVOLUTION bottom: "data" top: "c"\n'
        "  convolution_param { num_output: 2 kernel_size: 3 } }\n"
    )
    assert fail(1, "upgrade", "--check", old)
    succeed("upgrade", old, new)
    assert new.read_text().startswith("# kept\n")
    assert 'type: "Convolution"' in new.read_text()
    succeed("upgrade", "--check", new)
    assert succeed("upgrade", new, "-") == new.read_bytes()
    assert succeed("upgrade", old, "-", "--server", server.address) == new.read_bytes()
    assert succeed("plan", old, "--json") == succeed("plan", new, "--json")
    assert "Missing argument 'OUT'" in fail(2, "upgrade", old)
    old.write_text("layers {")
    assert f"{old}:1:" in fail(1, "upgrade", old, new)


def test_strict_makes_errors_of_warnings(tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text('layer { name: "a" type: "Input" top: "a" unknown: 3 input_param { shape { dim: 1 } } }\n')
    done = run("plan", net)
    assert done.returncode == 0
    assert b"warning" in done.stderr
    assert f"{net}:1:" in fail(1, "plan", net, "--strict")
    assert f"{net}:1:" in fail(1, "upgrade", net, "-", "--strict")


def test_a_net_beside_its_solver(with_weights: Path) -> None:
    """Solvers name their nets from the root of a checkout, also where both were copied into one folder."""
    solver = with_weights / "solver.prototxt"
    solver.write_text('net: "models/mine/net.prototxt" random_seed: 3 weights: "models/mine/i.npz"')
    done = run("init", "--solver", solver, "-o", with_weights / "beside.npz")
    assert done.returncode == 0, done.stderr
    said = done.stderr.decode()
    assert (
        said.count(f"{solver}: note: there is no models/mine/net.prototxt, and so {solver.parent / 'net.prototxt'} is")
        == 1
    )
    assert f"there is no models/mine/i.npz, and so {solver.parent / 'i.npz'} is taken" in said
    solver.write_text('net: "models/mine/gone.prototxt"')
    assert "no such file" in fail(1, "plan", "--solver", solver)
