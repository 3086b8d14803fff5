"""The entry points `filler` and `filler-server`."""

import gc
import io
import logging
import os
import signal
import sys
from typing import Any

import click

from caffe_filler.errors import FillerError
from caffe_filler.interface import interface
from filler_client.cli.check import check
from filler_client.cli.completion import completion
from filler_client.cli.convert import convert
from filler_client.cli.diff import diff
from filler_client.cli.ending import Ended, end_by_signals
from filler_client.cli.explain import explain
from filler_client.cli.export import export
from filler_client.cli.fill import fill
from filler_client.cli.fillers import fillers
from filler_client.cli.health import health
from filler_client.cli.init import init
from filler_client.cli.inspect import inspect
from filler_client.cli.lint import lint, rule
from filler_client.cli.plan import plan
from filler_client.cli.report import report
from filler_client.cli.run import run
from filler_client.cli.serve import serve as serve_command
from filler_client.cli.signal import signal as signal_command
from filler_client.cli.terminal import LogLines, print_line, print_text, print_warnings
from filler_client.cli.translate import translate
from filler_client.cli.upgrade import upgrade
from filler_client.cli.verify import verify
from filler_client.cli.warm_up import warm_up

_COLLECTED_AFTER = 20_000
"""Objects that a command makes before it looks for garbage; what it makes most of is freed without that."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="caffe-filler", prog_name="filler")
def filler() -> None:
    """Fill the weights of Caffe nets: any region of any blob, the same bytes everywhere.

    Computes in this process, or on a server with --server. Every option can be set in the environment, e.g.
    FILLER_INIT_SEED for `filler init --seed`.

    \b
    Examples:
      filler plan train_val.prototxt --input data=256,3,227,227
      filler init train_val.prototxt --seed 1701 -o weights.safetensors
      filler fill 'type: "msra"' --shape 64,3,7,7 -o conv1.npy
      filler convert bvlc_reference_caffenet.caffemodel caffenet.safetensors
      filler run deploy.prototxt --weights caffenet.caffemodel --input data=cat.npy -o tops.npz
      filler export deploy.prototxt --weights caffenet.caffemodel -o caffenet.onnx
      filler lint train_val.prototxt
      filler signal train_val.prototxt --input data=64,3,227,227
      filler report deploy.prototxt --seed 1701 -o report.html
      filler serve --listen localhost:50051
    """


for command in (
    plan,
    init,
    fill,
    fillers,
    translate,
    explain,
    upgrade,
    convert,
    inspect,
    check,
    diff,
    verify,
    run,
    export,
    lint,
    rule,
    signal_command,
    report,
    serve_command,
    warm_up,
    health,
    completion,
):
    filler.add_command(command)


def main() -> None:
    """Run `filler`."""
    _run(filler, "filler")


def serve() -> None:
    """Run `filler-server`, which is `filler serve`."""
    _run(serve_command, "filler-server")


def _run(command: click.Command, name: str) -> None:
    """Run a command: one line and status 1 for a failure, status 2 for wrong usage."""
    # The core of gRPC quotes what its peers send as it is, control characters and line breaks included.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # What is imported stays; to look through it for garbage takes a tenth of the time of a short command.
    gc.set_threshold(_COLLECTED_AFTER)
    end_by_signals()
    _buffer_output()
    logger = logging.getLogger("filler_client")
    logger.addHandler(LogLines())
    logger.propagate = False
    try:
        with interface("cli"):
            command.main(prog_name=name, auto_envvar_prefix="FILLER", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        print_text(shown.getvalue(), err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print_line(f"{name}: interrupted", err=True)
        sys.exit(130)
    except Ended as error:
        said = "interrupted" if error.signal == signal.SIGINT else f"ended by {error.signal.name}"
        print_line(f"{name}: {said}", err=True)
        sys.exit(128 + error.signal)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except (FillerError, OSError) as error:
        if isinstance(error, FillerError):
            print_warnings(error.warnings, error.file or name)
        print_line(f"{name}: {error}", err=True)
        sys.exit(1)


def _buffer_output() -> None:
    """Give standard output the buffer that PYTHONUNBUFFERED takes away: without it a full disk cuts it off silently."""
    output = sys.stdout
    if isinstance(output, io.TextIOWrapper) and isinstance(output.buffer, io.RawIOBase):
        encoding, errors = output.encoding, output.errors
        raw: Any = output.detach()
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=True)
