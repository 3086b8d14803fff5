"""Signals that end a command of `filler`."""

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.cli.command import succeed

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4096 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 262144 weight_filler { type: "gaussian" std: 0.01 } } }
"""
"""A net of 4 GiB: its file takes longer to write than the test takes to see it begun."""


@pytest.fixture(autouse=True)
def default_signals() -> Iterator[None]:
    """Signals that whoever runs the tests ignores, as under nohup, would be ignored by the commands, too."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGTERM)}
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in {**before, signal.SIGINT: interrupt}.items():
        signal.signal(number, handler)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_leave_no_half_written_file(net: Path, tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    status, message = _end(number, folder, "init", net, "-o", folder / "w.safetensors")
    assert status == 128 + number
    said = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert message.splitlines()[-1] == f"filler: {said}"
    assert list(folder.iterdir()) == []


def test_a_second_signal_ends_a_command_at_once(tmp_path: Path) -> None:
    program = """if True:
        import signal, sys, time
        from filler_client.cli.ending import Ended, end_by_signals

        class Slow:
            def __del__(self):
                print("busy", flush=True)
                time.sleep(60)

        end_by_signals()
        Slow()
    """
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM


_WAITS = {
    "import": """
        Path("module.py").write_text("import __main__; __main__.work()")
        import module
    """,
    "compilation": """
        import numba, numba.extending

        def typed():
            pass

        @numba.extending.overload(typed)
        def types():
            work()
            return lambda: None

        numba.njit(lambda: typed())()
    """,
    "finalizer": """
        class Slow:
            def __del__(self):
                work()

        Slow()
    """,
}


@pytest.mark.parametrize("during", _WAITS)
def test_a_signal_waits_where_an_exception_would_do_harm(during: str, tmp_path: Path) -> None:
    program = f"""if True:
        import signal, time
        from pathlib import Path
        from filler_client.cli.ending import Ended, end_by_signals

        def work():
            signal.raise_signal(signal.SIGHUP)
            time.sleep(0.1)
            print("done", flush=True)

        end_by_signals()
        try:
            {textwrap.indent(_WAITS[during], "    ").strip()}
            time.sleep(60)
        except Ended as error:
            print(error.signal.name)
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == ["done", "SIGHUP"], done.stderr
    assert not done.stderr


def test_a_signal_ends_all_jobs_of_a_batch_and_the_next_run_does_the_rest(net: Path, tmp_path: Path) -> None:
    folder, small = tmp_path / "out", tmp_path / "small.prototxt"
    folder.mkdir()
    small.write_text(NET.replace("262144", "2"))
    arguments = ("init", net, small, "-o", folder / "{net}.npz", "-j", 2)
    status, message = _end(signal.SIGTERM, folder, *arguments, until="small.npz.manifest.json")
    assert (status, message.splitlines()[-1]) == (128 + signal.SIGTERM, "filler: ended by SIGTERM")
    assert sorted(path.name for path in folder.iterdir()) == ["small.npz", "small.npz.manifest.json"]
    net.write_text(NET.replace("262144", "3"))
    said = succeed("init", net, small, "-o", folder / "{net}.npz").decode()
    assert said.splitlines()[-1].startswith("1 file written, 1 complete already")


def test_remains_of_a_killed_command_are_removed_by_the_next(net: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "w.safetensors"
    status, _ = _end(signal.SIGKILL, folder, "init", net, "-o", target)
    assert status == -signal.SIGKILL
    assert [path.suffix for path in folder.iterdir()] == [".part"]
    net.write_text(NET.replace("262144", "2"))
    succeed("init", net, "-o", target)
    assert list(folder.iterdir()) == [target]


def test_a_command_under_nohup_goes_on_when_its_terminal_closes(net: Path, tmp_path: Path) -> None:
    net.write_text(NET.replace("262144", "8192"))
    folder = tmp_path / "out"
    folder.mkdir()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        status, message = _end(signal.SIGHUP, folder, "init", net, "-o", folder / "w.safetensors")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert status == 0, message
    assert [path.name for path in folder.iterdir()] == ["w.safetensors"]


def _end(number: signal.Signals, folder: Path, *arguments: object, until: str = "") -> tuple[int, str]:
    """Run `filler`, send it a signal when something is in the folder, and return its status and standard error.

    Its name ends in `until`.
    """
    command = [sys.executable, "-m", "filler_client.cli", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not any(path.name.endswith(until) for path in folder.iterdir()):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)
        process.send_signal(number)
        _, message = process.communicate(timeout=60)
    return process.returncode, message
