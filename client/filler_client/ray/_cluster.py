"""The connection of this process to a cluster of Ray."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import RayError

from caffe_filler.errors import InvalidArgument, Unavailable
from caffe_filler.interface import either

_ADDRESS = "RAY_ADDRESS"
_AUTO = "auto"
_PATIENCE = 10.0
"""Seconds until a machine that does not answer is given up."""

_MOST_PORT = 65535


@contextmanager
def joined(address: str | None) -> Iterator[None]:
    """Be a driver of a cluster while the block runs; where this process is one already, of that cluster.

    Args:
        address: `host:port`, or `auto` or None: that of the variable RAY_ADDRESS, or of this machine.

    Raises:
        InvalidArgument: it is not an address, or this process is of another cluster already.
        Unavailable: no cluster can be joined there.
    """
    if ray.is_initialized():
        if address not in (None, _AUTO):
            raise InvalidArgument(
                f"this process has joined a Ray cluster already; leave the address out. {_received(address)}"
            )
        yield
        return
    where = _checked(address)
    try:
        with _own_handler():
            ray.init(where, log_to_driver=False, logging_level="ERROR")
    except (RayError, RuntimeError, ValueError, OSError) as error:
        raise Unavailable(f"{_advice(where)}: {_line(error)}. {_received(address)}") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own_handler() -> Iterator[None]:
    """Give SIGTERM back the handler that Ray replaces in the block; one that comes in the meantime reaches it, too."""
    handler = signal.getsignal(signal.SIGTERM)
    is_ended = False
    try:
        yield
    except SystemExit:
        is_ended = callable(handler)
        raise
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
            if is_ended:
                signal.raise_signal(signal.SIGTERM)


def _checked(address: str | None) -> str:
    """Return the address that Ray is given, where something answers.

    Raises:
        InvalidArgument: it is not an address.
        Unavailable: nothing answers, for which Ray itself would wait long.
    """
    where = os.environ.get(_ADDRESS) or _AUTO if address in (None, _AUTO) else str(address)
    if where == _AUTO:
        return where
    host, _, port = where.rpartition(":")
    if "/" in where or not host or not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) <= _MOST_PORT):
        raise InvalidArgument(
            f"the address of a Ray cluster is like host:6379, that of its head node. {_received(address)}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"no Ray cluster answers: {_line(error)}. {_received(address)}") from None
    return where


def _advice(where: str) -> str:
    if where == _AUTO:
        return "no Ray cluster runs on this machine, which `ray start` makes a node of one"
    return "the Ray cluster cannot be joined; this machine must be one of its nodes, with the same Ray and Python"


def _received(address: str | None) -> str:
    if address in (None, _AUTO):
        found = os.environ.get(_ADDRESS)
        return (
            f"Received: {_ADDRESS}={found}" if found else either(python="Received: address=None", cli="Received: --ray")
        )
    return either(python=f"Received: address={address!r}", cli=f"Received: --ray {address}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
