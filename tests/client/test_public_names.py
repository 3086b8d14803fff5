"""`import filler_client` gives the names that it lists, the whole tree of errors included."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import filler_client
from caffe_filler import errors
from tests.client import typed_program

PROGRAM = """
import filler_client, inspect
names = [name for name, value in vars(filler_client).items() if not inspect.ismodule(value)]
print(*sorted(name for name in [*names, *filler_client._LAZY] if not name.startswith("_")))
"""


def test_the_public_names_are_those_listed() -> None:
    # In a process of its own, where no test has imported a submodule.
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert run.stdout.split() == sorted(filler_client.__all__)
    assert dir(filler_client) == sorted(filler_client.__all__)


def test_every_listed_name_can_be_imported_and_explains_itself() -> None:
    for name in filler_client.__all__:
        value = getattr(filler_client, name)
        if inspect.isclass(value) or inspect.ismodule(value):
            assert value.__doc__, name


def test_what_takes_long_to_import_is_imported_when_it_is_asked_for() -> None:
    program = """
import sys, filler_client
assert not any(name.startswith(("filler_server", "grpc")) for name in sys.modules)
from filler_client import NetPlan, operations
assert NetPlan.__module__ == "filler_server.net.plan"
assert operations.convolution.Convolution
assert not any(name.startswith(("grpc", "numba")) for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'NoSuchName'"):
        _ = filler_client.NoSuchName


def test_every_error_can_be_imported_from_the_client() -> None:
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, (errors.FillerError, errors.FieldViolation))
    }
    assert kinds.keys() <= set(filler_client.__all__)
    assert all(getattr(filler_client, name) is kind for name, kind in kinds.items())


def test_a_program_that_is_checked_for_types_runs(nets: Path, tmp_path: Path) -> None:
    typed_program.main(nets / "lenet.prototxt", tmp_path)
