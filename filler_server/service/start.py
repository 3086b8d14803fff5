"""Start of a server: in this process, or in several that this one watches over."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from filler_server.service.cpus import cpus
from filler_server.service.settings import Settings

_NEEDED = ("numba", "grpc_health", "grpc_reflection", "prometheus_client")
"""Libraries of the processes that do the work."""


def serve(settings: Settings) -> int:
    """Run a server until SIGTERM or SIGINT; a second signal ends it at once. Returns the exit status.

    Raises:
        FillerError: the settings cannot be used, or processes of the server end again and again.
    """
    return prepare(settings)()


def prepare(settings: Settings) -> Callable[[], int]:
    """Return what runs a server as `serve` does, with all that it needs imported.

    Raises:
        ModuleNotFoundError: a library of the server is not installed.
    """
    count = cpus() if isinstance(settings.processes, str) else settings.processes
    if count == 1:
        from filler_server.service.process import run, tell_addresses

        return partial(run, settings, on_serving=tell_addresses)
    # A process that watches over others has no need of kernels itself.
    for name in _NEEDED:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
    from filler_server.service.supervisor import supervise

    return partial(supervise, settings, count)
