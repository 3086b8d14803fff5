"""Options of the verbs that write weights."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from filler_client.cli.options import input_option, phase_option, stage_option, strictness_options, whole_number

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes: 500MiB, 5GiB, 2GB, 1000000."""

    name = "SIZE"
    _UNITS: Mapping[str, int] = {
        "": 1,
        **{f"{letter}B": 1000**power for power, letter in enumerate(("", "K", "M", "G", "T"))},
        **{f"{letter}IB": 1024**power for power, letter in enumerate(("K", "M", "G", "T"), start=1)},
    }

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        digits = value.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
        unit = self._UNITS.get(value[len(digits) :].strip().upper())
        number = whole_number(digits)
        if unit is None or not number:
            self.fail(f"a size is like 500MiB, 5GiB or 2GB. Received: {value}", param, ctx)
        return number * unit


names_option = click.option(
    "--names",
    type=click.Choice(["caffe", "torch"]),
    default="caffe",
    show_default=True,
    help="Names of the tensors: <layer>/<blob index>, or those of the state_dict of matching modules.",
)
reshape_option = click.option(
    "--reshape",
    is_flag=True,
    help="Take weights whose axes are joined or split otherwise, such as fc6 as a convolution.",
)
max_shard_size_option = click.option(
    "--max-shard-size",
    type=Size(),
    help="Write a .safetensors that would be longer as several files with an index, e.g. 5GiB.",
)


class Part(click.ParamType):  # type: ignore[type-arg]
    """A part of so many: 3/16, or in the place of a number the name of an environment variable that has it."""

    name = "K/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the number of the part, from 1, and the number of parts."""
        if isinstance(value, tuple):
            return value
        number, _, parts = value.partition("/")
        try:
            # Variables count from 0: JOB_COMPLETION_INDEX, SLURM_PROCID, RANK.
            part = int(number) if _is_number(number) else _variable(number) + 1
            count = int(parts) if _is_number(parts) else _variable(parts)
        except ValueError as error:
            self.fail(f"a part is like 3/16, or JOB_COMPLETION_INDEX/16. {error}", param, ctx)
        if not 1 <= part <= count:
            meant = "" if value == f"{part}/{count}" else f", which is {part}/{count}"
            self.fail(f"a part is like 3/16, from 1/16 to 16/16. Received: {value}{meant}", param, ctx)
        return part, count


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _variable(name: str) -> int:
    """Return the number that an environment variable has.

    Raises:
        ValueError: it is not a name, or has no number.
    """
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"Received: {name!r} where a number stands")
    value = os.environ.get(name)
    if value is None:
        raise ValueError(f"The environment has no {name}")
    if not _is_number(value):
        raise ValueError(f"Received: {name}={value!r}, which is not a number")
    return int(value)


part_option = click.option(
    "--part",
    type=Part(),
    help="With --max-shard-size: write only the files of part K of N, so that N machines write all; those that are "
    "complete stay. K and N may name environment variables, as in JOB_COMPLETION_INDEX/16; that of K counts from 0.",
)
finish_option = click.option(
    "--finish",
    is_flag=True,
    help="With --max-shard-size: hold the files of all parts to their digests and write the index, but no values.",
)
_BESIDE = ":beside"
"""Value of --manifest without a path; no path that ends in .json."""


def manifest_option(command: _Command) -> _Command:
    """Give a command the option to write a manifest."""
    return click.option(
        "--manifest",
        is_flag=False,
        flag_value=_BESIDE,
        metavar="[FILE.json]",
        help="Write the manifest, with the digest of each tensor, also to a file: FILE.json, or the output's name with "
        ".manifest.json after it.",
    )(command)


def is_beside(manifest: str) -> bool:
    """Whether the option names no file."""
    return manifest == _BESIDE


def manifest_beside(manifest: str | None, output: Path) -> Path | None:
    """Return the path of the manifest that the option asks for."""
    from filler_server.digests.manifest import ENDING

    if manifest is None:
        return None
    return output.with_name(output.name + ENDING) if manifest == _BESIDE else Path(manifest)


def weights_net_options(command: _Command) -> _Command:
    """Give a command the options that name the net of a file of weights."""
    for option in reversed(
        (
            click.option(
                "--net",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Net of the weights: prototxt, or a .caffemodel that describes it.",
            ),
            strictness_options[1],
            phase_option,
            stage_option,
            input_option,
        )
    ):
        command = option(command)
    return command


def print_notes(notes: Iterable[str], target: Path) -> None:
    """Print to standard error what a user of a file should know."""
    from filler_client.cli.terminal import print_line

    for note in notes:
        print_line(f"{target}: note: {note}", err=True)
