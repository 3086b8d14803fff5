"""Jobs of a batch: nets, solvers, folders and job files to the files that are to be written."""

import glob
import os
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Any, TypeAlias

from caffe_filler import dtypes
from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.files import read_file
from caffe_filler.interface import option_name
from caffe_filler.nearest import did_you_mean, nearest

_LARGEST = 16 << 20
"""Bytes of a job file at most."""

_MOST_JOBS = 1 << 20

Options: TypeAlias = Mapping[str, Any]
"""Options of `filler init` by their names in Python."""

_SOURCES = ("net", "solver")
_INTEGERS = ("level", "test_net", "seed")
_TEXTS = ("phase", "stream", "dtype", "names", "output")
_FLAGS = ("strict", "lenient", "ignore_shape", "reshape", "allow_missing")
_SHAPES = ("inputs", "tops")
_KEYS = (
    *_SOURCES,
    *_INTEGERS,
    *_TEXTS,
    *_FLAGS,
    *_SHAPES,
    "stages",
    "fillers",
    "data_draws",
    "max_shard_size",
    "weights",
)
_CHOICES = {
    "phase": ("TRAIN", "TEST"),
    "stream": ("philox", "caffe", "caffe-1.56", "caffe-1.55"),
    "names": ("caffe", "torch"),
    "dtype": dtypes.SHORT_NAMES,
}
_FIELDS = ("net", "folder", "seed", "dtype", "stream", "names", "phase")
"""Fields of a template of an output's name."""

_DEFAULT, _DEFAULT_SEEDS = "{net}.safetensors", "{net}-{seed}.safetensors"


@dataclass(frozen=True, slots=True)
class Job:
    """A net or a solver that is to be filled.

    Attributes:
        source: its file.
        kind: net or solver; None: its content tells.
        options: those of the job file, or of the command line.
        template: name of the file to write; None: the default.
        has_seeds: whether it is one of several that differ in their seeds.
    """

    source: Path
    kind: str | None = None
    options: Options = field(default_factory=lambda: MappingProxyType({}))
    template: str | None = None
    has_seeds: bool = False

    def output(self, folder: Path, seed: int) -> Path:
        """Return the path of the file to write.

        Raises:
            InvalidArgument: the template is wrong, or does not give the name of a file.
        """
        template = self.template or (_DEFAULT_SEEDS if self.has_seeds else _DEFAULT)
        values = {
            "net": self.source.stem,
            "folder": self.source.resolve().parent.name,
            "seed": seed,
            **{name: self.options[name] for name in ("dtype", "stream", "names", "phase")},
        }
        check_template(template)
        name = template.format_map(values)
        if name != Path(name).name or name in ("", ".", ".."):
            raise InvalidArgument(f"an output's name is that of a file in the folder. Received: output={template!r}")
        return folder / name


def check_template(template: str) -> None:
    """Make sure that a template has no fields but those that there are.

    Raises:
        InvalidArgument: it has others, or braces that do not match.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise InvalidArgument(f"an output's name is like {_DEFAULT_SEEDS}: {error}. Received: {template!r}") from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in _FIELDS or spec or conversion):
            known = ", ".join(f"{{{one}}}" for one in _FIELDS)
            hint = did_you_mean(nearest(name, _FIELDS))
            raise InvalidArgument(f"an output's name may have {known}{hint}. Received: {template!r}")


def check_folder(folder: Path) -> None:
    """Make sure that a folder of outputs has no fields in its name, which those of files have alone.

    Raises:
        InvalidArgument: it has some.
    """
    if any(f"{{{name}" in str(folder) for name in _FIELDS):
        raise InvalidArgument(f"fields stand in an output's name, and not in its folder. Received: {folder}")


def expand(sources: Sequence[str], options: Options, template: str | None, explicit: Collection[str] = ()) -> list[Job]:
    """Return the jobs of the arguments of a command line, in their order.

    Args:
        sources: files of nets or solvers, folders, patterns, and job files, which end in .toml.
        options: those of the command line, for what a job does not say.
        template: name of the outputs, for jobs that do not say it.
        explicit: names of options that somebody has given, and no job may say otherwise.

    Raises:
        InvalidArgument: there is no such file, or a job file is wrong or says what the command line says.
        OSError: a folder or a job file cannot be read.
    """
    jobs: list[Job] = []
    for source in sources:
        for path in _found(source, Path()):
            if path.suffix.lower() == ".toml":
                jobs += _read(path, options, template, {*explicit, *([] if template is None else ["output"])})
            else:
                jobs.append(Job(path, None, options, template))
    return jobs


def _found(source: str, beside: Path) -> list[Path]:
    """Return the files that a path, a folder or a pattern means.

    Raises:
        InvalidArgument: there are none.
    """
    if not source:
        # It would be the folder.
        raise InvalidArgument("the name of a file is not empty. Received: ''")
    path = beside / source
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.suffix == ".prototxt" and not one.name.startswith("."))
    elif path.exists() or not glob.has_magic(source):
        found = [path]
    else:
        # Of an absolute pattern Path.glob knows nothing.
        found = [Path(name) for name in sorted(glob.glob(os.fspath(path), recursive=True))]  # noqa: PTH207
    if not found:
        what = "folder has no .prototxt" if path.is_dir() else "pattern fits no file"
        raise InvalidArgument(f"this {what}. Received: {path}")
    missing = [one for one in found if not one.is_file()]
    if missing:
        is_other = missing[0].exists()
        what = (
            "a batch reads regular files, and this is a folder, pipe or device" if is_other else "there is no such file"
        )
        raise InvalidArgument(f"{what}. Received: {missing[0]}")
    return found


def _read(path: Path, options: Options, template: str | None, explicit: Collection[str]) -> Iterator[Job]:
    data = read_file(path, _LARGEST)
    try:
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        # Not every ValueError is a TOMLDecodeError: a number may have more digits than Python reads.
        raise InvalidArgument(f"{path}: {error}") from None
    try:
        yield from _jobs(document, path.parent, {**options, "output": template}, explicit)
    except FillerError as error:
        raise error.in_file(path) from None


def _jobs(document: dict[str, Any], folder: Path, options: Options, explicit: Collection[str]) -> Iterator[Job]:
    tables = document.pop("job", None)
    top = "the top of the file"
    common = {**options, **_checked(document, top, folder, _KEYS[len(_SOURCES) :])}
    _check_said_once(document, top, explicit)
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables) or not tables:
        raise InvalidArgument("a job file has tables [[job]], each with a net or a solver. Received: none")
    count = 0
    for number, table in enumerate(tables, 1):
        where = f"job {number}"
        own = _checked(table, where, folder, _KEYS)
        _check_said_once(table, where, explicit)
        given = [(name, own.pop(name)) for name in _SOURCES if name in own]
        if len(given) != 1:
            raise InvalidArgument(f"{where}: a job has a net or a solver, one of the two. Received: {len(given)}")
        merged = {**common, **own}
        seeds = merged.pop("seed", None)
        template = merged.pop("output", None)
        several = isinstance(seeds, list)
        kind, named = given[0]
        for source in named:
            for found in _found(source, folder):
                for seed in seeds if isinstance(seeds, list) else [seeds]:
                    count += 1
                    if count > _MOST_JOBS:
                        raise InvalidArgument(f"a job file has at most {_MOST_JOBS} jobs. Received: more")
                    yield Job(found, kind, {**merged, "seed": seed}, template, has_seeds=several)


def _check_said_once(table: Mapping[str, Any], where: str, explicit: Collection[str]) -> None:
    name = next((name for name in table if name in explicit), None)
    if name is not None:
        said = "the name of -o" if name == "output" else option_name(name)
        raise InvalidArgument(f"{where}: {said} on the command line says it, too. Received: {name}={table[name]!r}")


def _checked(table: Mapping[str, Any], where: str, folder: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Return the values of a table as options have them.

    Raises:
        InvalidArgument: a key is not known, or a value is not what it should be; the message says where.
    """
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in keys:
            hint = did_you_mean(nearest(name, [*keys, "job"]))
            raise InvalidArgument(f"{where} has no key of this name{hint}. Received: {name}")
        try:
            values[name] = _value(name, value, folder)
        except (FillerError, ValueError) as error:
            reason = error.reason if isinstance(error, FillerError) else str(error)
            raise InvalidArgument(f"{where}: {name}: {reason}") from None
    return values


def _value(name: str, value: Any, folder: Path) -> Any:
    if name in _FLAGS:
        return _typed(value, bool, "true or false")
    if name == "seed" and isinstance(value, list):
        if not value:
            raise ValueError("a list of seeds has one at least. Received: []")
        return [_seed(one) for one in value]
    if name == "seed":
        return _seed(value)
    if name == "test_net" and type(value) is int and value < 0:
        raise ValueError(f"test nets are numbered from 0. Received: {value}")
    if name in _INTEGERS:
        return _typed(value, int, "a whole number")
    if name in _TEXTS:
        return _choice(name, _typed(value, str, "text"))
    if name in _SHAPES:
        return {blob: _dims(dims) for blob, dims in _typed(value, dict, "a table of shapes").items()}
    if name == "fillers":
        return {blob: _typed(one, str, "a filler") for blob, one in _typed(value, dict, "a table of fillers").items()}
    if name == "data_draws":
        return value if type(value) is int else _typed(value, str, "emulate, rc3, none or a number")
    if name == "max_shard_size":
        return _size(value)
    texts = [_typed(one, str, "text") for one in (value if isinstance(value, list) else [value])]
    if name in _SOURCES and not texts:
        raise ValueError("a list of files has one at least. Received: []")
    if name in (*_SOURCES, "weights") and not all(text and "\0" not in text for text in texts):
        raise ValueError(f"the name of a file is text that is not empty and has no NUL. Received: {str(value)[:80]!r}")
    return [folder / one for one in texts] if name == "weights" else texts


def _typed(value: Any, kind: type, what: str) -> Any:
    if type(value) is not kind:
        raise ValueError(f"this is {what}. Received: {str(value)[:80]!r}")
    return value


def _seed(value: Any) -> int:
    from filler_client._requests import check_seed

    return check_seed(_typed(value, int, "a whole number, or a list of them"))


def _choice(name: str, value: str) -> str:
    known = _CHOICES.get(name)
    if name == "dtype":
        parsed = dtypes.parse(value).name
        return next(short for short in dtypes.SHORT_NAMES if dtypes.parse(short).name == parsed)
    if name == "output":
        if not value:
            raise ValueError("an output has a name. Received: ''")
        check_template(value)
    if known is not None and value not in known:
        raise ValueError(f"this is one of {', '.join(known)}{did_you_mean(nearest(value, known))}. Received: {value!r}")
    return value


def _dims(value: Any) -> tuple[int | None, ...]:
    dims = _typed(value, list, 'a list of dimensions, "?" for what the net knows')
    if not all(dim == "?" or (type(dim) is int and dim >= 0) for dim in dims):
        raise ValueError(f'a dimension is a whole number or "?". Received: {str(value)[:80]}')
    return tuple(None if dim == "?" else dim for dim in dims)


def _size(value: Any) -> int:
    import click

    from filler_client.cli.weights_net import Size

    try:
        return Size().convert(str(value) if type(value) is int else _typed(value, str, "a size"), None, None)
    except click.BadParameter as error:
        raise ValueError(error.message) from None
