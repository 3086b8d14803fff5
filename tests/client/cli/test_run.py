"""`filler run`."""

from pathlib import Path

import numpy as np
import pytest

from filler_client import save_weights
from tests.client.cli.command import fail, run, succeed

NET = """
layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
W, B = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]], np.float32), np.array([0.5, -0.5], np.float32)
X = np.arange(8, dtype=np.float32).reshape(2, 4)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with a net, its weights and an input."""
    (tmp_path / "net.prototxt").write_text(NET)
    save_weights({"ip/0": W, "ip/1": B}, tmp_path / "w.npz")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "label.npy", np.array([0, 1]))
    return tmp_path


def arguments(files: Path, *more: object) -> tuple[object, ...]:
    return ("run", files / "net.prototxt", "--weights", files / "w.npz", "--input", f"data={files / 'x.npy'}", *more)


def test_tops_into_a_file(files: Path) -> None:
    out = succeed(*arguments(files, "--top", "ip", "-o", files / "tops.npz"))
    assert b"ip   2x2" in out
    with np.load(files / "tops.npz") as tops:
        assert tops.files == ["ip"]
        assert tops["ip"].dtype == np.float32
        assert np.array_equal(tops["ip"], X @ W.T + B)
    succeed(*arguments(files, "--input", f"label={files / 'label.npy'}", "-o", files / "loss.npy", "--dtype", "f64"))
    assert np.load(files / "loss.npy").dtype == np.float64


def test_deploy_and_random(files: Path) -> None:
    net, weights = files / "net.prototxt", files / "w.npz"
    options = ("--weights", weights, "--deploy", "--input", "data=3,4", "--random", 5, "-o")
    for name in ("a.npz", "b.npz"):
        succeed("run", net, *options, files / name)
    assert (files / "a.npz").read_bytes() == (files / "b.npz").read_bytes()
    assert np.load(files / "a.npz")["prob"].sum() == pytest.approx(3)


def test_a_solver(files: Path) -> None:
    (files / "solver.prototxt").write_text('net: "net.prototxt" test_iter: 1 weights: "w.npz" test_interval: 1')
    inputs = ("--input", f"data={files / 'x.npy'}", "--input", f"label={files / 'label.npy'}")
    assert b"loss" in succeed("run", "--solver", files / "solver.prototxt", *inputs)
    assert b"loss" in succeed("run", "--solver", files / "solver.prototxt", *inputs, "--phase", "train")
    assert "there are 1 test nets" in fail(2, "run", "--solver", files / "solver.prototxt", "--test-net", 1)
    (files / "solver.prototxt").write_text('net: "net.prototxt"')
    assert "has no test net; --phase TRAIN takes" in fail(2, "run", "--solver", files / "solver.prototxt")


def test_weights_that_no_layer_takes_are_told(files: Path) -> None:
    save_weights({"ip/0": W, "ip/1": B, "other/0": B}, files / "w.npz")
    done = run(*arguments(files, "--top", "ip"))
    assert done.returncode == 0
    assert "note: no layer of the net takes these of the weights: other/0" in done.stderr.decode()


def test_refusals(files: Path) -> None:
    np.save(files / "objects.npy", np.array([None]), allow_pickle=True)
    before = sorted(files.iterdir())
    net = files / "net.prototxt"
    for status, given, text in (
        (1, arguments(files), "no values for input 'label': --input label=FILE.npy gives them, --random 1 draws them"),
        (1, ("run", net), "the net has learnable blobs, whose values --weights FILE gives"),
        (1, ("run", net, "--weights", files / "w.npz"), "--input data=2,D,D,D gives it"),
        (1, arguments(files, "--input", f"data={files / 'objects.npy'}"), "holds no numbers"),
        (1, arguments(files, "--input", f"data={files / 'w.npz'}"), "one array in a .npy file"),
        (1, arguments(files, "--input", f"label={files / 'no.npy'}"), "no.npy"),
        (1, arguments(files, "--top", "ipp"), "no top 'ipp' (did you mean 'ip'?)"),
        (1, arguments(files, "--top", "ip", "-o", files / "no" / "t.npz"), "No such file"),
        (1, arguments(files, "--top", "ip", "-o", files / "t.bin"), "a file of weights ends in"),
        (2, arguments(files, "--input", "data"), "an input is NAME=FILE.npy or NAME=D,D"),
        (2, ("run",), "give a net, or --solver and a solver"),
        (2, arguments(files, "--dtype", "f16"), "f16"),
        (2, arguments(files, "--test-net", 0), "--test-net goes with --solver"),
    ):
        assert text in fail(status, *given)
    assert sorted(files.iterdir()) == before


def test_help_has_examples() -> None:
    assert b"filler run deploy.prototxt --weights net.caffemodel --input data=cat.npy -o tops.npz" in succeed(
        "run", "-h"
    )
