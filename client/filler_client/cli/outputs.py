"""Outputs of commands: none is written over a file that is read, or over another output."""

import errno
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from caffe_filler.errors import InvalidArgument

_OF_SET = re.compile(r"(?P<stem>.+)-\d{5}-of-\d{5}(?P<ending>\.safetensors)", re.IGNORECASE | re.DOTALL)
_INDEX = ".safetensors.index.json"


def check_outputs(outputs: Iterable[tuple[Path, Path]], read: Iterable[Path]) -> None:
    """Make sure that no file would be written twice, or over one that is read.

    A .safetensors may become a set of files, and replaces any set of its name: index and shards count as that file.

    Args:
        outputs: of each what it is made of, and its path.
        read: nets, solvers and trained weights.

    Raises:
        InvalidArgument: one would.
        OSError: links lead in a circle.
    """
    files = set(read)
    places = {place_of(path) for path in files}
    # A link is lost, too, and the file that it leads to may be called otherwise.
    named = places | {place_of(path.parent) / path.name for path in files}
    replaced = {_set_of(name) for name in named}
    indexed = {_set_of(name) for name in named if is_index(name)}
    written: dict[Path, tuple[Path, Path]] = {}
    for source, path in outputs:
        place = place_of(path)
        if place in places or place in replaced or _set_of(place) in indexed:
            raise InvalidArgument(f"an output would write over a file that is read. Received: {path}")
        if place in written:
            raise _written_twice(written[place][0], source, path)
        written[place] = source, path
    _check_sets(written)


def _check_sets(written: Mapping[Path, tuple[Path, Path]]) -> None:
    for place, (source, path) in written.items():
        whole = _set_of(place)
        if whole is not None and whole in written:
            raise _written_twice(written[whole][0], source, path)


def _written_twice(one: Path, other: Path, path: Path) -> InvalidArgument:
    return InvalidArgument(
        f"two jobs would write one file, of {one} and of {other}; {{net}}, {{folder}}, {{seed}} and so on in the "
        f"output's name tell them apart. Received: {path}"
    )


def _set_of(place: Path) -> Path | None:
    """Return the name under which the set is written that a shard or an index belongs to."""
    if is_index(place):
        return place.with_suffix("").with_suffix("")
    shard = _OF_SET.fullmatch(place.name)
    return None if shard is None else place.with_name(shard["stem"] + shard["ending"])


def is_index(place: Path) -> bool:
    """Return whether a name is that of the index of a set."""
    return place.name.lower().endswith(_INDEX)


def place_of(path: Path) -> Path:
    """Return a path without links.

    Raises:
        OSError: its links lead in a circle.
    """
    try:
        return path.resolve()
    except RuntimeError:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None
