"""One of the processes of a server: it does as its supervisor says, and tells what becomes of it."""

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from caffe_filler.errors import FillerError
from filler_server import compiled
from filler_server.service import compilation, logs, process, shared_metrics
from filler_server.service.configuration import build
from filler_server.service.place import BOUND, COMPILED, FAILED, SERVES
from filler_server.service.server import FillerServer
from filler_server.service.warmup import import_kernels, parts

_LOOK_SECONDS = 0.1


class _Worker:
    """This process.

    Args:
        channel: connection to the supervisor, whose end is the end of this process, too.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lines = channel.makefile("r", encoding="utf-8")

    def run(self) -> int:
        """Serve as told; returns the exit status."""
        order = json.loads(self._lines.readline())
        threading.Thread(target=self._end_with_supervisor, name="supervisor", daemon=True).start()
        shared_metrics.join(order["number"])
        try:
            settings = build(order["settings"])
            if order["is_late"]:
                logs.configure(settings.log)
                # Others serve already, and whoever connects here wants to be answered. This only loads what an earlier
                # process has compiled.
                compiled.set_threads(settings.threads)
                import_kernels()
                for part in parts():
                    if part.group.comes_first:
                        part.compile()
                _be_quiet()
                logging.getLogger(compilation.__name__).setLevel(logging.WARNING)
            return process.run(settings, is_shared=True, on_bound=self._bound, on_serving=self._serves)
        except FillerError as error:
            self._tell(FAILED, message=str(error))
            return 1

    def _bound(self, server: FillerServer) -> None:
        self._tell(BOUND)

    def _serves(self, server: FillerServer) -> None:
        _be_quiet()
        self._tell(SERVES, tls=server.speaks_tls)
        threading.Thread(target=self._await_kernels, args=(server,), name="kernels told", daemon=True).start()

    def _await_kernels(self, server: FillerServer) -> None:
        while server.is_compiling:
            time.sleep(_LOOK_SECONDS)
        self._tell(COMPILED)

    def _tell(self, event: str, **facts: Any) -> None:
        try:
            self._channel.sendall(json.dumps({"event": event, **facts}).encode() + b"\n")
        except OSError:
            # The supervisor is gone, which the thread that listens to it notices, too.
            return

    def _end_with_supervisor(self) -> None:
        with contextlib.suppress(OSError):
            self._lines.read()
        os.kill(os.getpid(), signal.SIGTERM)


def _be_quiet() -> None:
    """Leave it to the supervisor to say how the server starts and ends."""
    logging.getLogger(process.__name__).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(_Worker(socket.socket(fileno=int(sys.argv[1]))).run())
