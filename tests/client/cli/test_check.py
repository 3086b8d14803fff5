import json
from pathlib import Path

import numpy as np

import filler_client
from tests.client.cli.command import fail, run, succeed

LENET = "tests/nets/lenet.prototxt"


def test_a_net_is_checked() -> None:
    lines = succeed("check", LENET, "--seed", 1701, env={"COLUMNS": "80"}).decode().splitlines()
    assert lines[0] == "LeNet (TRAIN), filled with seed 1701, philox, float32"
    assert lines[-1].startswith("passed: 8 initial; 12 tests, significance 0.001")
    assert all(len(line) <= 80 for line in lines)


def test_weights_that_have_moved_fail(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    weights = filler_client.FillerClient.embedded().init_net(Path(LENET))
    filler_client.save_weights({**weights, "ip1/0": weights["ip1/0"] + np.float32(0.01)}, path)
    done = run("check", LENET, "--weights", path, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["passed"], found["failing"], found["correction"]) == (False, ["ip1/0"], "Holm")


def test_a_solver_is_checked(tmp_path: Path) -> None:
    solver = tmp_path / "solver.prototxt"
    net = Path("tests/nets/lenet_train_test.prototxt").resolve()
    solver.write_text(f'net: "{net}" random_seed: 1701 test_iter: 1 test_interval: 1')
    options = ("--input", "data=?,1,28,28", "--stream", "caffe", "--test-net", 0)
    assert (
        "LeNet (TEST), filled with seed 1701, caffe, float32" in succeed("check", "--solver", solver, *options).decode()
    )


def test_wrong_usage_is_refused(tmp_path: Path) -> None:
    assert "give a net" in fail(2, "check")
    assert "--test-net goes with --solver" in fail(2, "check", LENET, "--test-net", 0)
    path = tmp_path / "w.npz"
    np.savez(path, w=np.ones(3))
    assert "leave out --seed" in fail(1, "check", LENET, "--weights", path, "--seed", 1)
