"""`filler serve`: the server."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from filler_server.api.setting import Setting

_CONFIG = "FILLER_SERVE_CONFIG"
_PRINT_CONFIG = "FILLER_SERVE_PRINT_CONFIG"


class _Serve(click.Command):
    """A command whose options are the settings of the server, which are looked up when they are needed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the options of the command itself and one for each setting."""
        from filler_server.service.configuration import ALL

        own, given = self.params, super().get_params(ctx)
        return [*own, *(_option(entry) for entry in ALL), *given[len(own) :]]


class _NumberOrWord(click.ParamType):  # type: ignore[type-arg]
    """A number, or a word that stands for one."""

    name = "number"

    def __init__(self, number: Any, words: tuple[str, ...]) -> None:
        self._number = number
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word, or the number."""
        if value in self._words:
            return value
        try:
            return self._number.convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message.rstrip('.')}, and not {' or '.join(self._words)}.", param, ctx)


def _option(entry: "Setting") -> click.Option:
    kind: Any = click.Path(path_type=Path) if entry.kind is Path else entry.kind
    if entry.choices:
        kind = click.Choice(entry.choices)
    elif entry.kind in (int, float):
        least = entry.minimum if entry.above is None else entry.above
        limited = click.IntRange if entry.kind is int else click.FloatRange
        kind = limited(least, min_open=entry.above is not None)
        if entry.words:
            kind = _NumberOrWord(kind, entry.words)
    is_flag = entry.kind is bool
    return click.Option(
        [f"{entry.flag}/--no-{entry.flag.removeprefix('--')}" if is_flag else entry.flag],
        envvar=entry.variable,
        default=entry.default,
        show_default=entry.default is not None and not is_flag,
        multiple=entry.many,
        type=None if is_flag else kind,
        metavar=None if is_flag or entry.choices else entry.unit,
        help=entry.text,
    )


def _read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    """Let the values of a file stand where neither flags nor the environment say anything."""
    if path is not None:
        from filler_server.service.configuration import read_file

        ctx.default_map = {**(ctx.default_map or {}), **read_file(path)}


@click.command(cls=_Serve)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar=_CONFIG,
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    help="TOML file of settings; flags and environment variables stand above it.",
)
@click.option(
    "--print-config", is_flag=True, envvar=_PRINT_CONFIG, help="Print what is set, as a file for --config, and end."
)
def serve(print_config: bool, **values: Any) -> None:
    """Serve the fillers over gRPC until SIGTERM or Ctrl-C.

    Running streams are finished within --grace; a second signal ends them. Each option is also an environment
    variable, FILLER_SERVE_MAX_STREAMS for --max-streams, and a key of a TOML file; flags stand above the environment,
    and that above the file.

    \b
    Examples:
      filler serve
      filler serve --listen 127.0.0.1:50051 --listen unix:/run/filler.sock --threads 8
      filler serve --listen 0.0.0.0:50051 --tls-certificate tls.crt --tls-key tls.key --token-file tokens
      filler serve --listen 127.0.0.1:50051 --processes auto
      filler serve --listen 0.0.0.0:50051 --insecure --metrics-listen 0.0.0.0:9090 --log-format json
      filler serve --print-config > filler.toml && filler serve --config filler.toml
    """
    from filler_client.cli.terminal import print_text
    from filler_server.service.configuration import build, check_environment, to_toml

    check_environment([_CONFIG, _PRINT_CONFIG])
    settings = build(values)
    try:
        if print_config:
            print_text(to_toml(settings))
            return
        from filler_server.service.start import prepare

        run = prepare(settings)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "filler_server", "filler_client", "caffe_filler"):
            raise
        raise click.ClickException(f"the server needs {missing}: pip install 'caffe-filler[server]'") from None
    sys.exit(run())
