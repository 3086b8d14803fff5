"""A disk that is full, or a file that may grow no further: the error names the file, and nothing half written stays."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.cli.command import run, succeed

LIMIT = 100_000
FULL = Path("/dev/full")


def limited(*arguments: object, unbuffered: str, stdout: Path) -> subprocess.CompletedProcess[bytes]:
    """Run `filler` in an interpreter of its own that writes no file beyond `LIMIT`."""
    with stdout.open("wb") as output:
        return subprocess.run(
            [sys.executable, "-m", "filler_client.cli", *map(str, arguments)],
            stdout=output,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONUNBUFFERED": unbuffered},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT)),
            check=False,
            timeout=120,
        )


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    succeed("fill", "xavier", "--shape", "100,1000", "--name", "a/0", "-o", path)
    return path


@pytest.mark.parametrize("ending", ["npz", "safetensors", "caffemodel", "h5", "prototxt"])
def test_a_net_that_does_not_fit(nets: Path, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"x.{ending}"
    done = run("init", nets / "lenet.prototxt", "-o", target, file_limit=LIMIT)
    assert (done.returncode, done.stderr.decode()) == (1, f"filler: [Errno 27] File too large: '{target}'\n")
    assert list(tmp_path.iterdir()) == []


def test_shards_that_do_not_fit(nets: Path, tmp_path: Path) -> None:
    shards = ("-o", tmp_path / "x.safetensors", "--max-shard-size", "500KiB")
    done = run("init", nets / "lenet.prototxt", *shards, file_limit=LIMIT)
    assert f"File too large: '{tmp_path}/x-0000" in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_copied_by_the_system(weights: Path, tmp_path: Path) -> None:
    """Values that lie in a file as they are wanted do not pass through the process."""
    for name in ("x.npy", "x.npz", "x.h5"):
        done = run("convert", weights, tmp_path / name, file_limit=LIMIT)
        assert (done.returncode, done.stderr.decode()) == (
            1,
            f"filler: [Errno 27] File too large: '{tmp_path / name}'\n",
        )
    assert list(tmp_path.iterdir()) == [weights]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("what", ["fill", "plan"])
def test_standard_output_that_takes_a_part_only(nets: Path, tmp_path: Path, unbuffered: str, what: str) -> None:
    arguments = {
        "fill": ("fill", "xavier", "--shape", "100,1000", "--name", "a/0", "-o", "-"),
        "plan": ("plan", nets / "resnet152.prototxt", "--input", "data=1,3,224,224", "--json"),
    }
    done = limited(*arguments[what], unbuffered=unbuffered, stdout=tmp_path / "out")
    assert (tmp_path / "out").stat().st_size == LIMIT
    assert (done.returncode, done.stderr.decode()) == (1, "filler: [Errno 27] File too large: 'standard output'\n")


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_on_a_full_disk(nets: Path, unbuffered: str) -> None:
    for arguments in (
        ("plan", nets / "lenet.prototxt"),
        ("plan", nets / "lenet.prototxt", "--json"),
        ("upgrade", nets / "lenet.prototxt", "-"),
        ("fill", "msra", "--shape", "9,9", "-o", "-", "--name", "a/0"),
    ):
        done = limited(*arguments, unbuffered=unbuffered, stdout=FULL)
        assert done.returncode == 1
        last = done.stderr.decode().splitlines()[-1]
        assert last == "filler: [Errno 28] No space left on device: 'standard output'"
