"""Files that a solver names."""

from collections.abc import Iterator
from pathlib import Path


def find(path: str, solver: Path) -> tuple[Path, bool]:
    """Return the path of a file that a solver names, from here as in Caffe, or else from its folder upwards.

    Solvers mostly name their files from the root of a Caffe checkout, in which nobody may stand, and which is not there
    where solver and net were copied into one folder: then it is the file of that name beside the solver.

    Returns:
        The path, and whether it is only the file of that name beside the solver.

    Raises:
        FileNotFoundError: it is in none of these places.
    """
    for folder in _folders(solver):
        if (folder / path).is_file():
            return folder / path, False
    beside = solver.parent / Path(path).name
    if beside.is_file():
        return beside, True
    raise FileNotFoundError(f"no such file from here or from a folder above {solver}: {path}")


def _folders(solver: Path) -> Iterator[Path]:
    yield Path()
    yield from solver.resolve().parents
