"""A process that has imported all of `filler` and forks one process for each command: `python -m ... DESCRIPTOR`."""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import resource
import socket
import sys
import threading
import traceback
from typing import NoReturn

import numpy as np

import filler_client
import filler_server
from filler_client.cli.main import main

# Frameworks start threads, which a fork would lose, and take longer than they would save.
_FRAMEWORKS = ("torch", "onnx", "jax", "keras", "flax", "tensorflow", "onnxruntime")


def prepare() -> None:
    """Import every module but for those that need a framework, and have Numba ready."""
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
    # The first kernel takes longer than all others; a single value is computed without threads.
    filler_client.digest(np.zeros(1, np.float32))
    # Collected memory is memory that is written to, and so copied.
    gc.freeze()


def fork_for_each(requests: socket.socket) -> list[str] | None:
    """Fork a process for each request; return its arguments there, and None here after the last request.

    A request is the arguments, the environment, the folder and a limit of files' sizes as JSON, with descriptors for
    standard output and error. It is answered with the process's identifier and, later, its exit status.
    """
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 2)
        if not message:
            return None
        request = json.loads(message)
        process = os.fork()
        if not process:
            requests.close()
            for number, descriptor in enumerate(descriptors, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.environ.clear()
            os.environ.update(request["environment"])
            os.chdir(request["folder"])
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_limit"],) * 2)
            return [str(argument) for argument in request["arguments"]]
        for descriptor in descriptors:
            os.close(descriptor)
        requests.send(str(process).encode())
        _, status = os.waitpid(process, 0)
        requests.send(str(os.waitstatus_to_exitcode(status)).encode())


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
