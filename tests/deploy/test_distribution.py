"""Contents of the wheel and the sdist: everything that they need, and nothing else."""

from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from tests.conftest import ROOT

PACKAGES = {
    "filler_server": ROOT / "filler_server",
    "filler_client": ROOT / "client" / "filler_client",
    "caffe_filler": ROOT / "protos" / "caffe_filler",
}
GENERATED = {
    *(f"caffe/caffe_pb2.{ending}" for ending in ("py", "pyi")),
    *(f"v1/{name}_pb2.{ending}" for name in ("filler", "rules") for ending in ("py", "pyi")),
    "v1/filler_pb2_grpc.py",
}


@pytest.fixture(scope="module")
def wheel() -> set[str]:
    return {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}


def sources(folder: Path) -> set[str]:
    """Return the files below a folder that are not made by running something."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "deploy" not in path.parts
    }


def test_the_wheel_has_every_file_of_its_packages_and_no_other(wheel: set[str]) -> None:
    assert wheel == {f"{package}/{name}" for package, folder in PACKAGES.items() for name in sources(folder)}
    kinds = {Path(name).suffix for name in wheel}
    assert kinds == {".py", ".pyi", ".typed", ".proto", ".md", ".css", ".html", ".prototxt"}


def test_the_wheel_has_types_and_generated_messages(wheel: set[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= wheel
    assert {f"caffe_filler/{name}" for name in GENERATED} <= wheel


def test_the_sdist_has_what_builds_and_tests_it() -> None:
    sdist = {file.distribution_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    # The builder adds .gitignore, README.md and pyproject.toml.
    folders, files = {".ci", "client", "filler_server", "protos", "tests"}, {"CHANGELOG.md", "CONTRIBUTING.md"}
    assert {Path(name).parts[0] for name in sdist} == folders | files | {"LICENSE", "Makefile"}
    assert {".ci/run", ".ci/constraints.txt", "protos/build_hook.py", "tests/conftest.py"} <= sdist
    assert not [name for name in sdist if "__pycache__" in name]
