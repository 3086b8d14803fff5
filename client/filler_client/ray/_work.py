"""Work of a task, on a machine of the cluster: one file of a set."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.interface import Interface, interface, option
from filler_client._client import FillerClient


@dataclass(frozen=True, slots=True)
class Order:
    """Files that are to be written, by as many tasks.

    Attributes:
        net: the net.
        target: name of the set, as an absolute path.
        token: a hidden file in the same folder, which is there as long as the order holds.
        files: number of files.
        interface: for whom messages are.
        options: those of `FillerClient.save_net`.
    """

    net: bytes
    target: Path
    token: Path
    files: int
    interface: Interface
    options: Mapping[str, Any]


def write_file(order: Order, number: int) -> tuple[str, ...]:
    """Write the file of a number, from 1, unless it is complete already; return what a user of it should know.

    Raises:
        InvalidArgument: the folder here is another one than that of whoever ordered.
        FillerError: the file cannot be computed.
        OSError: it cannot be written.
    """
    host = socket.gethostname()
    try:
        with interface(order.interface):
            return _write(order, number)
    except FillerError as error:
        raise error.within(f"node {host}") from None
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, f"{host}:{os.fspath(error.filename or order.target)}") from None


def _write(order: Order, number: int) -> tuple[str, ...]:
    if not order.token.exists():
        raise InvalidArgument(
            "the folder of the output is not one and the same on all nodes of the cluster; a network file system, "
            f"mounted at one path everywhere, would be. Received: {option('output', str(order.target))}"
        )
    client = FillerClient.embedded()
    saved = client.save_net(order.net, order.target, part=(number, order.files), keep_complete=True, **order.options)
    return saved.notes
