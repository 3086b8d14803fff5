"""Folders that others could put code into, and those that they could not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_filler import ownership
from caffe_filler.ownership import stranger

SOURCE = Path(ownership.__file__)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "kernels"
    folder.mkdir(mode=0o755)
    (folder / "kernel.nbi").touch(mode=0o644)
    return folder


def cause(folder: Path, trusted: Path = SOURCE) -> str:
    found = stranger(folder, trusted=trusted)
    assert found is not None
    return found


def test_a_folder_of_ones_own(folder: Path) -> None:
    assert stranger(folder, trusted=SOURCE) is None


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o1777])
def test_a_folder_that_all_can_write(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert cause(folder) == f"{folder} can be written by all users (mode {mode:o}): run `chmod o-w {folder}`"


def test_a_folder_that_a_group_can_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "_is_private", lambda group, user: False)
    folder.chmod(0o775)
    assert cause(folder) == f"{folder} can be written by its group (mode 775): run `chmod g-w {folder}`"


def test_a_group_of_one_is_that_user(folder: Path) -> None:
    import grp
    import pwd

    user = pwd.getpwuid(os.geteuid())
    group = grp.getgrgid(user.pw_gid)
    assert ownership._is_private(group.gr_gid, user.pw_uid) == (group.gr_name == user.pw_name and not group.gr_mem)
    assert not ownership._is_private(group.gr_gid, 4_000_000_000)


def test_a_file_that_all_can_write(folder: Path) -> None:
    (folder / "kernel.nbi").chmod(0o666)
    assert "kernel.nbi can be written by all users (mode 666)" in cause(folder)


def test_a_folder_above_it_that_all_can_write(folder: Path) -> None:
    folder.parent.chmod(0o777)
    assert cause(folder).startswith(f"{folder.parent} can be written by all users")
    # As in /tmp, where nobody can move what is another's.
    folder.parent.chmod(0o1777)
    assert stranger(folder, trusted=SOURCE) is None


def test_a_link_to_a_folder_that_all_can_write(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert stranger(link, trusted=SOURCE) is None
    folder.chmod(0o777)
    assert cause(link).startswith(f"{folder} can be written")


def test_a_folder_of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert ownership._cause(folder, {owner}, sticky=False) is None
    found = ownership._cause(folder, {owner + 1}, sticky=False)
    assert found == f"{folder} belongs to user {owner}: run `chown {owner + 1} {folder}`"
    # Who owns the code may put code there.
    assert stranger(folder, trusted=folder / "kernel.nbi") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
@pytest.mark.parametrize("name", ["", "kernels", "kernels/kernel.nbi"])
def test_what_belongs_to_another_user(folder: Path, name: str) -> None:
    path = folder.parent / name
    os.chown(path, 12345, -1)
    assert cause(folder) == f"{path} belongs to user 12345: run `chown 0 {path}`"
    os.chown(path, 0, -1)
    assert stranger(folder, trusted=SOURCE) is None


@pytest.mark.parametrize("module", ["filler_server.rng.philox_kernels", "filler_server.fillers.kernels"])
def test_kernels_are_not_taken_from_a_cache_of_others(tmp_path: Path, module: str) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    program = f"""
from caffe_filler.errors import InvalidArgument
try: import {module}
except InvalidArgument as error: print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_CACHE_DIR": str(shared / "kernels")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("others could run code through the cache of compiled kernels, ")
    assert f"run `chmod o-w {shared}`, or set NUMBA_CACHE_DIR to a folder of your own" in done.stdout
    assert done.stdout.endswith(f"Received: NUMBA_CACHE_DIR={shared}/kernels\n")
