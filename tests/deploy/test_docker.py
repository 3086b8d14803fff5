"""The Dockerfile, read by a parser, since there is no engine here that builds it."""

import json
import re
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from filler_server.service.configuration import ALL, build, read_file
from tests.conftest import ROOT

DEPLOY = ROOT / "filler_server" / "deploy"


@pytest.fixture(scope="module")
def parser() -> DockerfileParser:
    return DockerfileParser(str(DEPLOY / "Dockerfile"))


def instructions(parser: DockerfileParser, *kinds: str, stage: int | None = None) -> list[str]:
    """The values of the instructions of these kinds, of one stage or of all."""
    found, number = [], -1
    for entry in parser.structure:
        number += entry["instruction"] == "FROM"
        if entry["instruction"] in kinds and stage in (None, number):
            found.append(str(entry["value"]))
    return found


def test_two_stages_of_pinned_images(parser: DockerfileParser) -> None:
    assert parser.is_multistage
    assert len(instructions(parser, "FROM")) == 2
    for image in parser.parent_images:
        assert re.fullmatch(r"python:\d\.\d+-slim", image), image
    (python,) = instructions(parser, "ARG")
    assert python.split("=")[1] in (DEPLOY / "Dockerfile").read_text()
    assert not instructions(parser, "ADD")
    assert "git" not in parser.content
    assert "curl" not in parser.content


def test_it_does_not_run_as_root(parser: DockerfileParser) -> None:
    *_, user = instructions(parser, "USER", stage=1)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    last_user = max(n for n, entry in enumerate(parser.structure) if entry["instruction"] == "USER")
    after = [entry["instruction"] for entry in parser.structure[last_user + 1 :]]
    assert {"ENTRYPOINT", "RUN"} <= set(after)


def test_kernels_are_compiled_into_the_volume(parser: DockerfileParser) -> None:
    env = dict(parser.envs)
    (volume,) = instructions(parser, "VOLUME")
    assert env["NUMBA_CACHE_DIR"] == volume
    compiled = [run for run in instructions(parser, "RUN", stage=1) if "warm-up" in run]
    assert len(compiled) == 1
    # An instruction after VOLUME that changes the volume is lost.
    order = [entry["instruction"] for entry in parser.structure]
    assert order.index("VOLUME") > len(order) - 1 - order[::-1].index("RUN")
    assert compiled == ["filler warm-up"]
    # An image keeps whole seconds, and kernels belong to sources of one time.
    (installed,) = instructions(parser, "RUN", stage=0)
    assert "touch --date" in installed


def test_what_it_copies_exists_and_is_not_ignored(parser: DockerfileParser) -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert lines[0] == "*"
    kept = {line[1:] for line in lines if line.startswith("!")}
    copied = [value.split() for value in instructions(parser, "COPY") if not value.startswith("--from")]
    sources = {source for *names, _ in copied for source in names}
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(Path(source).is_relative_to(name) for name in kept), source
    assert kept <= sources


def test_what_it_runs_are_our_commands(parser: DockerfileParser) -> None:
    (entrypoint,), (check,) = instructions(parser, "ENTRYPOINT"), instructions(parser, "HEALTHCHECK")
    assert json.loads(entrypoint) == ["filler-server"]
    assert json.loads(check.partition("CMD ")[2])[:3] == ["filler", "health", "--server"]
    assert instructions(parser, "STOPSIGNAL") == ["SIGTERM"]


def test_its_settings_are_settings_and_its_ports_are_exposed(parser: DockerfileParser) -> None:
    env = dict(parser.envs)
    assert {name for name in env if name.startswith("FILLER_SERVE_")} == {"FILLER_SERVE_CONFIG"}
    target = env["FILLER_SERVE_CONFIG"]
    assert any(value.split()[-1] == target for value in instructions(parser, "COPY", stage=1))
    settings = build(read_file(DEPLOY / "filler.toml"))
    addresses = [*settings.listen, settings.health_listen, settings.metrics_listen]
    ports = [str(address).rpartition(":")[2] for address in addresses]
    assert instructions(parser, "EXPOSE") == [" ".join(ports)]
    assert f"localhost:{ports[1]}" in instructions(parser, "HEALTHCHECK")[0]
    # Plaintext is nobody's default.
    assert not settings.insecure
    assert len(ALL) > len(ports)


def test_the_flags_of_its_example_are_flags() -> None:
    flags = {entry.flag for entry in ALL}
    comments = "\n".join(line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("#"))
    named = set(re.findall(r"--(?:tls|token)[a-z-]+", comments))
    assert named
    assert named <= flags


def test_the_wheel_has_none_of_it_and_the_sources_have() -> None:
    wheel = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert any(path.startswith("filler_server/service/") for path in wheel)
    assert not [path for path in wheel if path.startswith("filler_server/deploy/")]
    sources = {file.distribution_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    for path in DEPLOY.rglob("*"):
        assert path.is_dir() or str(path.relative_to(ROOT)) in sources
