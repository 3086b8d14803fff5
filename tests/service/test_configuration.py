"""Settings from flags, environment and file: what stands above what, and what is refused."""

import subprocess
import sys
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.errors import InvalidArgument
from filler_server.api.limits import Limits
from filler_server.api.setting import Setting
from filler_server.service.configuration import ALL, build, read_file, to_toml
from filler_server.service.settings import Log, Settings, TlsFiles
from tests.client.cli.command import fail, run, succeed


def effective(*options: object, env: dict[str, str] | None = None) -> dict[str, Any]:
    return tomllib.loads(succeed("serve", *options, "--print-config", env=env).decode())


def test_flags_stand_above_the_environment_and_that_above_the_file(tmp_path: Path) -> None:
    file = tmp_path / "filler.toml"
    file.write_text(
        'listen = ["unix:/a", "unix:/b"]\ngrace = 1\ninsecure = true\n[limits]\nstreams = 2\nrequest_blobs = 3\n'
        '[log]\nformat = "json"\n'
    )
    env = {"FILLER_SERVE_MAX_STREAMS": "20", "FILLER_SERVE_MAX_REQUEST_BLOBS": "30", "FILLER_SERVE_CONFIG": str(file)}
    found = effective("--max-streams", 200, "--no-insecure", env=env)
    assert found["listen"] == ["unix:/a", "unix:/b"]
    assert (found["grace"], found["insecure"], found["log"]) == (1.0, False, {"format": "json", "level": "info"})
    assert (found["limits"]["streams"], found["limits"]["request_blobs"]) == (200, 30)
    assert found["limits"]["net_bytes"] == Limits().net_bytes
    assert "threads" not in found


def test_what_is_printed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "filler.toml"
    first = succeed(
        "serve", "--listen", "unix:/x", "--threads", 3, "--tls-key", "k", "--tls-certificate", "c", "--print-config"
    )
    file.write_bytes(first)
    assert succeed("serve", "--config", file, "--print-config") == first
    assert succeed("serve", "--print-config", env={"FILLER_SERVE_LISTEN": "unix:/x unix:/y"}).count(b"unix:") == 3


def test_every_limit_is_a_flag_a_variable_and_a_key() -> None:
    page = succeed("serve", "--help").decode()
    for limit in fields(Limits):
        (entry,) = (entry for entry in ALL if entry.key == f"limits.{limit.name}")
        assert entry.flag in page
        assert entry.variable == f"FILLER_SERVE_{entry.flag[2:].upper().replace('-', '_')}"
    assert len({entry.parameter for entry in ALL}) == len(ALL)


WRONG_FILES = {
    "unknown key": ("lisen = []", "no such key (did you mean 'listen'?). Received: lisen"),
    "unknown key of a table": ("[limits]\nstream = 3", "did you mean 'limits.streams'?). Received: limits.stream"),
    "unknown table": ("[limit]\nstreams = 3", "no such table (did you mean 'limits'?). Received: [limit]"),
    "a table that is a value": ("limits = 3", "Received: limits"),
    "a value that is a table": ("[grace]\nseconds = 3", "no such table"),
    "text for a number": ('[limits]\nstreams = "3"', "limits.streams is a whole number. Received: streams='3'"),
    "truth for a number": ("threads = true", "threads is a whole number. Received: threads=True"),
    "fraction": ("threads = 1.5", "whole number"),
    "infinite": ("grace = inf", "grace is finite"),
    "nothing where there must be more": ("[limits]\nping_seconds = 0", "is more than 0. Received: ping_seconds=0.0"),
    "too little": ("[limits]\nstreams = 0", "limits.streams is at least 1. Received: streams=0"),
    "not a number": ("grace = nan", "grace is finite"),
    "number for truth": ("insecure = 1", "insecure is true or false"),
    "one for a list": ('listen = "unix:/a"', "listen is a list of strings"),
    "numbers in a list": ("listen = [1]", "listen is a string"),
    "no such choice": ('[log]\nformat = "xml"', "log.format is one of console, json"),
    "not TOML": ("\nlisten [", "line 2"),
    "not text": (b"\xff", "utf-8"),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file_is_refused_by_what_is_wrong(tmp_path: Path, case: str) -> None:
    content, text = WRONG_FILES[case]
    file = tmp_path / "filler.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidArgument) as caught:
        read_file(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert text in str(caught.value)


def test_the_command_line_says_it_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "filler.toml"
    file.write_text("[limits]\nstream = 3")
    assert fail(1, "serve", "--config", file).count("\n") == 1
    assert "cannot read absent.toml: No such file" in fail(1, "serve", "--config", "absent.toml")
    assert "--max-streams" in fail(2, "serve", "--max-streams", "0")
    done = run("serve", env={"FILLER_SERVE_MAX_STREAM": "3"})
    assert done.returncode == 1
    assert b"(did you mean 'FILLER_SERVE_MAX_STREAMS'?). Received: FILLER_SERVE_MAX_STREAM\n" in done.stderr


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Settings(listen=[]), "listen"),
        (lambda: Settings(listen="unix:/a"), "list of strings"),
        (lambda: Settings(threads=0), "threads"),
        (lambda: Settings(grace=float("nan")), "grace"),
        (lambda: Limits(streams=0), "streams"),
        (lambda: Limits(net_bytes="9"), "net_bytes"),  # type: ignore[arg-type]
        (lambda: TlsFiles(key=Path("k")), "belong together"),
        (lambda: TlsFiles(client_ca=Path("k")), "needs certificate"),
        (lambda: Log(format="xml"), "console, json"),  # type: ignore[arg-type]
    ],
)
def test_settings_made_in_a_program_are_checked_too(make: Any, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        make()


def values(entry: Setting) -> st.SearchStrategy[Any]:
    """Return the values that a setting may have."""
    least = entry.minimum or 0
    by_kind: dict[type, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(least, 2**62),
        float: st.floats(least, 1e9, exclude_min=entry.above is not None),
        str: st.sampled_from(entry.choices) if entry.choices else st.text(min_size=1),
        Path: st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(Path),
    }
    one = by_kind[entry.kind]
    if entry.many:
        return st.lists(one, min_size=1, max_size=3).map(tuple)
    return one | st.none() if entry.optional else one


@given(st.fixed_dictionaries({}, optional={entry.parameter: values(entry) for entry in ALL if entry.section != "tls"}))
def test_any_settings_survive_a_file(tmp_path_factory: pytest.TempPathFactory, given_values: dict[str, Any]) -> None:
    settings = build(given_values)
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(to_toml(settings), encoding="utf-8")
    assert build(read_file(file)) == settings
    assert replace(settings) == settings


@pytest.mark.parametrize("missing", ["structlog", "prometheus_client", "grpc_health", "numba"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from filler_client.cli.main import serve; sys.argv = ['filler-server', '--listen', 'localhost:0']; serve()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr == f"Error: the server needs {missing}: pip install 'caffe-filler[server]'\n"


def test_opentelemetry_is_optional() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from filler_server.service import tracing; assert tracing.start()[0] is None"
    )
    subprocess.run([sys.executable, "-c", program], timeout=120, check=True)


def test_every_limit_says_what_it_protects() -> None:
    printed = to_toml(Settings()).partition("[limits]")[2]
    limits = [entry for entry in ALL if entry.section == "limits"]
    assert len(limits) > 30
    for entry in limits:
        comment = printed[: printed.index(f"\n{entry.name} = ")].splitlines()[-1]
        assert comment == f"# {entry.text}"
        assert " Protects " in comment
