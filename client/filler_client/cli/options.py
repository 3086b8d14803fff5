"""Options that several verbs have, and what their values look like."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from caffe_filler.errors import InvalidArgument, LimitExceeded, NotFound

_Command = TypeVar("_Command", bound=Callable[..., Any])

_LONG_DTYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16"}


class DType(click.Choice[str]):
    """A data type: f32, f64, f16 or bf16; the long names are understood, too."""

    def __init__(self) -> None:
        super().__init__(tuple(_LONG_DTYPES.values()))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the short name."""
        return str(super().convert(_LONG_DTYPES.get(value, value), param, ctx))


def whole_number(text: str) -> int | None:
    """Return the number of decimal digits; None where there are others, or more than Python reads."""
    with suppress(ValueError):
        return int(text) if text.isdecimal() else None
    return None


class Shape(click.ParamType):  # type: ignore[type-arg]
    """Dimensions with commas between them: 64,3,7,7."""

    name = "D,D,.."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int | None, ...]:
        """Return the dimensions."""
        if isinstance(value, tuple):
            return value
        return tuple(self._dimension(part.strip(), value, param, ctx) for part in value.split(",") if value)

    def _dimension(self, text: str, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        number = whole_number(text)
        if number is None:
            self.fail(f"a shape is whole numbers with commas between them. Received: {value}", param, ctx)
        return number


class NamedShape(Shape):
    """A name and a shape: data=10,3,227,227; ? stands for a dimension that is not known."""

    name = "NAME=D,D,.."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return name and dimensions."""
        if isinstance(value, tuple):
            return value
        blob, separator, shape = value.rpartition("=")
        if not (separator and blob):
            self.fail(f"a shape is given as NAME=D,D,... Received: {value}", param, ctx)
        return blob, super().convert(shape, param, ctx)

    def _dimension(self, text: str, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        return None if text == "?" else super()._dimension(text, value, param, ctx)


class NamedFiller(click.ParamType):  # type: ignore[type-arg]
    """A blob's name and a filler: fc6/0=xavier, or prototxt as in 'fc6/0=type: "gaussian" std: 0.01'."""

    name = "NAME=FILLER"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return name and FillerParameter."""
        from filler_client._requests import filler_parameter

        if isinstance(value, tuple):
            return value
        blob, _, filler = value.partition("=")
        if not (blob and filler.strip()):
            self.fail(f"a filler is given as NAME=FILLER, as in fc6/0=xavier. Received: {value}", param, ctx)
        try:
            return blob, filler_parameter(filler.strip())
        except InvalidArgument as error:
            self.fail(str(error), param, ctx)


class Paths(click.Path):
    """An existing file, or several with commas between them as Caffe's own command line has them."""

    name = "FILE"

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the paths; a file whose own name has a comma is one."""
        if isinstance(value, tuple):
            return value
        names = [value] if Path(value).exists() else [name for part in value.split(",") if (name := part.strip())]
        return tuple(super(Paths, self).convert(name, param, ctx) for name in names or [value])


def flat_paths(ctx: click.Context, param: click.Parameter, value: Sequence[tuple[Path, ...]]) -> tuple[Path, ...]:
    """Return the paths of all values of an option."""
    return tuple(path for paths in value for path in paths)


class Region(click.ParamType):  # type: ignore[type-arg]
    """One range per axis, or `flat:` and one range of the elements in C order."""

    name = "START:STOP,.."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a `Flat` or a list of (start, stop)."""
        from filler_client import Flat

        if not isinstance(value, str):
            return value
        if value.startswith("flat:"):
            return Flat(*self._range(value.removeprefix("flat:"), value, param, ctx))
        return [self._range(axis, value, param, ctx) for axis in value.split(",")]

    def _range(
        self, text: str, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int | None]:
        start, colon, stop = (part.strip() for part in text.partition(":"))
        first, last = whole_number(start or "0"), whole_number(stop)
        if not colon or first is None or (stop and last is None):
            self.fail(f"a region is like 0:32,:,:,: or flat:0:4096. Received: {value}", param, ctx)
        return first, last


def _as_mapping(ctx: click.Context, param: click.Parameter, value: Sequence[Any]) -> dict[str, Any]:
    return dict(value)


def is_given(context: click.Context, name: str) -> bool:
    """Whether an option stands on the command line or in the environment."""
    return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def check_lone(names: Sequence[str], missing: str) -> None:
    """Make sure that options whose companion is missing are not on the command line.

    The environment may have them for other commands.

    Raises:
        click.UsageError: some are.
    """
    source = click.get_current_context().get_parameter_source
    given = [_flag(name) for name in names if source(name) is click.core.ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"{', '.join(given)} {'goes' if len(given) == 1 else 'go'} with {missing}.")


phase_option = click.option(
    "--phase",
    type=click.Choice(["TRAIN", "TEST"], case_sensitive=False),
    default="TRAIN",
    show_default=True,
    help="Phase by which layers are included and excluded.",
)
stage_option = click.option(
    "--stage", "stages", multiple=True, metavar="S", help="Stage of the net's state; repeatable."
)
input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    type=NamedShape(),
    callback=_as_mapping,
    help="Shape of a data top that the net itself does not know, ? for what it knows; repeatable.",
)


strictness_options = (
    click.option("--strict", is_flag=True, help="Make an error of what would be a warning."),
    click.option("--lenient", is_flag=True, help="Pass over misspelled fields and values, as over those of forks."),
)


def net_options(command: _Command) -> _Command:
    """Give a command a net, and the options that select and complete it."""
    argument = click.argument("net", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
    return argument(net_state_options(command))


def net_state_options(command: _Command) -> _Command:
    """Give a command the options that select and complete a net."""
    for option in reversed(
        (
            click.option(
                "--solver",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Take the nets, their states and the seed of a solver, in place of NET.",
            ),
            phase_option,
            click.option("--level", type=int, default=0, show_default=True, help="Level of the net's state."),
            stage_option,
            input_option,
            click.option(
                "--top",
                "tops",
                multiple=True,
                type=NamedShape(),
                callback=_as_mapping,
                help="Shape of a top of a layer type that is not known; repeatable.",
            ),
            click.option(
                "--filler",
                "fillers",
                multiple=True,
                type=NamedFiller(),
                callback=_as_mapping,
                help="Filler of a blob, in place of the net's: prototxt or a type; * in NAME is any text; repeatable.",
            ),
            *strictness_options,
        )
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Server:
    """A server, or several, and how to speak to them.

    Attributes:
        address: where they are; None: this process computes.
        tls: speak TLS, whether or not there are files for it.
        ca, certificate, key, server_name: those of `filler_client.Tls`.
        token_file: file with the token to show.
        insecure: show it in plaintext, too.
        timeout: seconds for each call, or None.
        retry_for: seconds to keep trying, or None for the default.
    """

    address: str | None
    tls: bool
    ca: Path | None
    certificate: Path | None
    key: Path | None
    server_name: str | None
    token_file: Path | None
    insecure: bool
    timeout: float | None = None
    retry_for: float | None = None


def server_option(command: _Command) -> _Command:
    """Give a command the option --server, those of its security and of patience, which it receives as one `Server`."""
    return _with_server(command, _SERVER_OPTIONS)


def asked_server_option(command: _Command) -> _Command:
    """Give a command the same without patience: it asks once."""
    options = {name: option for name, option in _SERVER_OPTIONS.items() if name not in ("timeout", "retry_for")}
    return _with_server(command, options)


def _with_server(command: _Command, options: Mapping[str, tuple[str, dict[str, Any]]]) -> _Command:
    @wraps(command)
    def with_server(*args: Any, **values: Any) -> Any:
        server = Server(**{name: values.pop(parameter) for name, (parameter, _) in options.items()})
        if server.address is None:
            check_lone([parameter for parameter, _ in options.values()], "--server")
        return command(*args, server=server, **values)

    for parameter, option in reversed(list(options.values())):
        with_server = click.option(_flag(parameter), envvar=f"FILLER_{parameter.upper()}", **option)(with_server)
    return cast(_Command, with_server)


def _flag(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"


_FILE: Any = click.Path(dir_okay=False, path_type=Path)
_SERVER_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "address": (
        "server",
        {
            "metavar": "ADDR",
            "help": "Address of a server, or several with commas between them; without it this process computes.",
        },
    ),
    "tls": ("tls", {"is_flag": True, "help": "Speak TLS with the server; implied by the other --tls-* options."}),
    "ca": ("tls_ca", {"type": _FILE, "metavar": "FILE", "help": "Authorities to trust, in PEM, instead of gRPC's."}),
    "certificate": ("tls_certificate", {"type": _FILE, "metavar": "FILE", "help": "Certificate to show, in PEM."}),
    "key": ("tls_key", {"type": _FILE, "metavar": "FILE", "help": "Private key of that certificate, in PEM."}),
    "server_name": (
        "tls_server_name",
        {"metavar": "NAME", "help": "Name in the server's certificate, where it is not that of its address."},
    ),
    "token_file": (
        "token_file",
        {
            "type": _FILE,
            "metavar": "FILE",
            "help": "File with the bearer token to show.  [or: FILLER_TOKEN, the token]",
        },
    ),
    "insecure": ("insecure", {"is_flag": True, "help": "Show the token in plaintext, too."}),
    "timeout": (
        "timeout",
        {
            "type": click.FloatRange(0, min_open=True),
            "metavar": "SECONDS",
            "help": "Give a call up after so long, all attempts together.  [default: never]",
        },
    ),
    "retry_for": (
        "retry_for",
        {
            "type": click.FloatRange(0),
            "metavar": "SECONDS",
            "help": "Keep trying for so long while no server answers.  [default: 300]",
        },
    ),
}


stream_option = click.option(
    "--stream",
    type=click.Choice(["philox", "caffe", "caffe-1.56", "caffe-1.55"]),
    default="philox",
    show_default=True,
    help="Random numbers: philox, or the very ones of Caffe over Boost 1.64 and later, 1.56 to 1.63, up to 1.55.",
)


class DataDrawsType(click.ParamType):  # type: ignore[type-arg]
    """A way to count what data layers draw, or a number of outputs for each."""

    name = "emulate|rc3|none|N"
    _WORDS = ("emulate", "rc3", "none")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """Return the word, or the number."""
        if value in self._WORDS:
            return str(value)
        number = whole_number(str(value))
        if number is None or number >= 2**32:
            self.fail(f"{value!r} is not {', '.join(self._WORDS)} or a number of outputs.", param, ctx)
        return number

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the words."""
        return [CompletionItem(word) for word in self._WORDS if word.startswith(incomplete)]


data_draws_option = click.option(
    "--data-draws",
    type=DataDrawsType(),
    default="emulate",
    show_default=True,
    help="What data layers draw from a Caffe stream at set-up: as in `caffe train` of 1.0 or of rc3, nothing, or N "
    "outputs each.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    metavar="N",
    help="0 to 2**64 - 1.  [default: the random_seed of the solver, or 0]",
)
dtype_option = click.option("--dtype", type=DType(), default="f32", show_default=True, help="Data type of the values.")


@contextmanager
def in_file(path: Path) -> Iterator[None]:
    """Name the file in which an error lies."""
    try:
        yield
    except (InvalidArgument, NotFound, LimitExceeded) as error:
        if not (isinstance(error, LimitExceeded) and (error.is_busy or error.is_cut_off)):
            error.in_file(path)
        raise
