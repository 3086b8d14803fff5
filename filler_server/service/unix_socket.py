"""Sockets in the file system: one living server each; a dead one's is replaced."""

import errno
import fcntl
import os
import secrets
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from caffe_filler.addresses import MAX_SOCKET_PATH, socket_path
from caffe_filler.errors import InvalidArgument


class UnixSocket:
    """A socket that this process listens on; gRPC itself would take it from whoever has it, and delete it at the end.

    It is bound under another name and then given its own, in one step and only if nobody answers there. So gRPC knows
    the other name alone, and the socket of a later server is not deleted in place of this one's. Servers that start or
    end at the same time wait for each other by a lock on the folder.

    Args:
        address: `unix:path`.
        bind: binds an address and starts to listen on it.

    Raises:
        InvalidArgument: a server listens there, or it cannot be bound.
    """

    def __init__(self, address: str, bind: Callable[[str], object]) -> None:
        # The folder that a relative path starts in may be another one at the end.
        self._path = Path(socket_path(address)).resolve()
        try:
            with self._locked() as folder:
                self._check_free(address, folder)
                other = f".{secrets.token_hex(4)}"
                bind(f"unix:{self._short(other, folder)}")
                self._path.with_name(other).rename(self._path)
                self._identity = self._identify()
        except OSError as error:
            raise InvalidArgument(f"cannot listen there: {error.strerror}. Received: listen={address}") from None

    def close(self) -> None:
        """Delete the socket if it is still this one."""
        with suppress(OSError), self._locked():
            if self._identify() == self._identity:
                self._path.unlink()

    def _identify(self) -> tuple[int, int]:
        found = self._path.lstat()
        return found.st_dev, found.st_ino

    def _check_free(self, address: str, folder: int) -> None:
        """Make sure that there is no file at the path but a socket on which nobody listens."""
        try:
            kind = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(kind):
            raise InvalidArgument(f"there is a file that is not a socket. Received: listen={address}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            found = probe.connect_ex(self._short(self._path.name, folder))
        if found not in (errno.ECONNREFUSED, errno.ENOENT):
            raise InvalidArgument(f"another server listens there. Received: listen={address}")

    def _short(self, name: str, folder: int) -> str:
        """Return the path of a socket in the folder, by the folder's descriptor if it would be too long."""
        path = str(self._path.with_name(name))
        return path if len(os.fsencode(path)) <= MAX_SOCKET_PATH else f"/proc/self/fd/{folder}/{name}"

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Keep other servers from binding a socket in the same folder; yields the folder's descriptor."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(folder)
