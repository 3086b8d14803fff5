"""`filler init` in a process that has imported everything."""

import contextlib
import io
from collections.abc import Callable, Sequence

from filler_client.cli.main import filler
from tests.benchmarks.machine import version


def about() -> str:
    """Return the version."""
    return f"caffe-filler {version('caffe-filler')}"


def prepare(work: str, arguments: Sequence[str]) -> Callable[[], object]:
    """Run the verb `work` of the command line; what it prints is dropped."""

    def call() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            filler.main([work, *arguments], standalone_mode=False)

    return call
