"""A process that has imported all of `filler` and forks one process for each command: `python -m ... DESCRIPTOR`."""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import resource
import selectors
import socket
import sys
import threading
import traceback
import warnings
from typing import Any, NoReturn

import filler_client
import filler_server
from filler_client.cli.main import main
from filler_server.compiled import alone
from filler_server.service.warmup import parts

# Frameworks start threads, which a fork would lose, and take longer than they would save.
_FRAMEWORKS = ("torch", "onnx", "jax", "keras", "flax", "tensorflow", "onnxruntime")


def prepare() -> None:
    """Import every module but for those that need a framework, and load the kernels."""
    sys.modules.update(dict.fromkeys(_FRAMEWORKS))
    for package in (filler_client, filler_server):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda _: None):
            if not module.name.endswith("__main__"):
                try:
                    importlib.import_module(module.name)
                except (ImportError, filler_client.FillerError):
                    continue
    for name in _FRAMEWORKS:
        del sys.modules[name]
    with alone():
        for part in parts():
            part.run()
    # Collected memory is memory that is written to, and so copied.
    gc.freeze()


def fork_for_each(requests: socket.socket) -> list[str] | None:
    """Fork a process for each request; return its arguments there, and None here after the last request.

    A request is the arguments, the environment, the folder and a limit of files' sizes as JSON, with descriptors for
    standard output, standard error and the exit status. It is answered with the process's identifier.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for ready, _ in selector.select():
                if ready.fileobj is not requests:
                    selector.unregister(ready.fileobj)
                    os.close(ready.fd)
                    process, status_to = ready.data
                    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
                    os.write(status_to, str(status).encode())
                    os.close(status_to)
                    continue
                message, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 3)
                if not message:
                    return None
                *outputs, status_to = descriptors
                with warnings.catch_warnings():
                    # The only other threads are those of OpenBLAS, which bear it.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    process = os.fork()
                if not process:
                    requests.close()
                    os.close(status_to)
                    for other in selector.get_map().values():
                        if other.data:
                            os.close(other.fd)
                            os.close(other.data[1])
                    return _begin(json.loads(message), outputs)
                for descriptor in outputs:
                    os.close(descriptor)
                selector.register(os.pidfd_open(process), selectors.EVENT_READ, (process, status_to))
                requests.send(str(process).encode())


def _begin(request: dict[str, Any], outputs: list[int]) -> list[str]:
    """Make this process one for a request; return its arguments."""
    for number, descriptor in enumerate(outputs, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    _limit_files(request["file_limit"])
    arguments: list[str] = request["arguments"]
    return arguments


def _limit_files(size: int | None) -> None:
    """Let this process write no file of more bytes, or with None as many as it may."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (most if size is None else size, most))


def run_and_exit(arguments: list[str]) -> NoReturn:
    """Run `filler` and end the process as Python does, but for taking memory apart piece by piece."""
    sys.argv[1:] = arguments
    status: object = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    # What is saved at the end, such as coverage, is not the command's.
    _limit_files(None)
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if not stream.closed:
                stream.flush()
    except OSError:
        status = 120
    os._exit(status if isinstance(status, int) else 0 if status is None else 1)


if __name__ == "__main__":
    prepare()
    given = fork_for_each(socket.socket(fileno=int(sys.argv[1])))
    if given is not None:
        run_and_exit(given)
