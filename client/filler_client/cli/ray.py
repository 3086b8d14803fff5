"""The option --ray of `filler init`."""

import importlib
from pathlib import Path
from typing import Any

import click

from caffe_filler.errors import Unavailable
from filler_client.cli.options import Server

_AUTO = "auto"
"""Value of the option without an address, as Ray itself has it."""

ray_option = click.option(
    "--ray",
    is_flag=False,
    flag_value=_AUTO,
    metavar="[ADDRESS]",
    help="With --max-shard-size: have a cluster of Ray write the files, a task each; that at ADDRESS, at RAY_ADDRESS, "
    "or of this machine.",
)


def check_ray(weights: tuple[Path, ...], server: Server, *, part: tuple[int, int] | None, finish: bool) -> None:
    """Refuse what a cluster of Ray does not do.

    Raises:
        click.UsageError: naming it.
    """
    if part or finish:
        raise click.UsageError("--ray writes all parts, and finishes them: leave --part and --finish out.")
    if weights:
        raise click.UsageError("--ray only fills: trained weights are copied without it.")
    if server.address is not None:
        raise click.UsageError("with --ray the cluster computes: leave --server and FILLER_SERVER out.")


def ray_module() -> Any:
    """Return what speaks with clusters of Ray.

    Raises:
        Unavailable: Ray is not installed.
    """
    try:
        return importlib.import_module("filler_client.ray")
    except ModuleNotFoundError as error:
        raise Unavailable(f"--ray needs {error.name}: pip install 'caffe-filler[ray]'") from None
