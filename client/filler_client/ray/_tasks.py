"""Tasks of Ray, one for each file of a set: their progress, their ends, and the end of all after one has failed."""

import logging
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError, RayTaskError

from caffe_filler.errors import Unavailable
from caffe_filler.printable import counted
from filler_client._provenance import library
from filler_client.ray._work import Order

if TYPE_CHECKING:
    from filler_server.tensors import Advance

_CPUS = 1
"""CPUs of a task."""

_RETRIES = 8
"""Times that a task starts anew whose machine or process is lost."""

_LOOK_EVERY = 0.2
"""Seconds from one look at the files to the next."""

_QUIET_FOR = 10.0
"""Seconds without a byte after which the user is told what is waited for."""

_GRACE = 5.0
"""Seconds for tasks to end and to remove what they have begun, before their processes are to end."""

_UNTIL_KILLED = 15.0
"""Seconds in which Ray kills processes that do not end when their driver has."""

_log = logging.getLogger("filler_client")


def run_tasks(order: Order, lengths: Sequence[int], advance: "Advance | None") -> list[str]:
    """Have all files of an order written, and return what a user of each should know.

    After an error or a signal the tasks that are left end. A process of theirs that hangs ends with the connection to
    the cluster, and what it leaves is for `remove_hidden`.

    Args:
        order: the files.
        lengths: bytes of the values of each.
        advance: is told the bytes of each step.

    Raises:
        Unavailable: a node has no library, or another version; or a task was lost too often.
        FillerError: a file cannot be computed.
        OSError: a file cannot be written.
    """
    task: Any = ray.remote(num_cpus=_CPUS, max_retries=_RETRIES, scheduling_strategy="SPREAD")(_task())
    shared = ray.put(pickle.dumps(order))
    progress = _Progress(order, lengths, advance)
    notes: dict[int, tuple[str, ...]] = {}
    with _ending() as running:
        for number in range(1, len(lengths) + 1):
            ref = task.remote(library(), shared, number)
            running[ref.future()] = (number, ref)
        while running:
            done, _ = wait(running, _LOOK_EVERY, FIRST_COMPLETED)
            for future in done:
                number, _ = running.pop(future)
                notes[number] = _result(future)
                progress.ended(number)
            progress.look()
    return [note for number in sorted(notes) for note in notes[number]]


def remove_hidden(order: Order) -> None:
    """Remove what killed processes have left of the files of an order, once they are gone."""
    from filler_server.output import remove_remains

    end = time.monotonic() + _UNTIL_KILLED
    while _hidden(order) and time.monotonic() < end:
        remove_remains(order.target)
        time.sleep(_LOOK_EVERY)


def _task() -> Callable[[str, bytes, int], Any]:
    """Return the function that a task runs; made in here, it travels as code, and tells what a node lacks itself."""
    cpus = _CPUS

    def write(version: str, order: bytes, number: int) -> Any:
        import os
        import pickle
        import socket
        import sys

        if "numba" not in sys.modules:
            # Numba would have a thread for each CPU, of which each may have a task.
            os.environ["NUMBA_NUM_THREADS"] = str(cpus)
        try:
            from filler_client._provenance import library

            found = library()
        except ImportError:
            found = "none"
        if found != version:
            return {"node": socket.gethostname(), "library": found}
        from filler_client.ray._work import write_file

        return write_file(pickle.loads(order), number)  # noqa: S301 - from the driver, whose code this is, too

    return write


def _result(future: Future[Any]) -> tuple[str, ...]:
    """Return what a task has returned.

    Raises:
        FillerError: the task failed, or was lost.
        OSError: it could not write.
    """
    try:
        found = future.result()
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        reason = " ".join(str(error).split())
        raise Unavailable(f"Ray gave a file up, after {_RETRIES} retries where its worker was lost: {reason}") from None
    if isinstance(found, Mapping):
        raise Unavailable(
            f"node {found['node']}: all nodes of a Ray cluster need the library of this process, {library()}. "
            f"Received: {found['library']}"
        )
    notes: tuple[str, ...] = found
    return notes


class _Progress:
    """Progress by what is to be seen in the folder, which needs no messages and is right whatever is lost."""

    def __init__(self, order: Order, lengths: Sequence[int], advance: "Advance | None") -> None:
        self._order = order
        self._lengths = lengths
        self._advance = advance
        self._files = 0
        self._complete = 0
        self._shown = 0
        self._since = time.monotonic()
        self._is_told = False

    def ended(self, number: int) -> None:
        """Note that the file of a number is complete."""
        self._files += 1
        self._complete += self._lengths[number - 1]

    def look(self) -> None:
        """Tell how many bytes there are more than at the last look."""
        hidden = 0 if self._files == len(self._lengths) else sum(map(_size, _hidden(self._order)))
        # What a lost worker has written is written again, and headers are not values.
        nbytes = min(self._complete + hidden, sum(self._lengths))
        if nbytes > self._shown:
            if self._advance is not None:
                self._advance(nbytes - self._shown, f"{self._files} of {counted(len(self._lengths), 'file')}")
            self._shown = nbytes
        elif not self._shown and not self._files and not self._is_told:
            self._tell()

    def _tell(self) -> None:
        if time.monotonic() - self._since > _QUIET_FOR:
            self._is_told = True
            cpus = ray.cluster_resources().get("CPU", 0)
            _log.warning("waiting for the Ray cluster, which has %g CPUs ...", cpus)


@contextmanager
def _ending() -> "Iterator[dict[Future[Any], tuple[int, Any]]]":
    """Give a place for running tasks, which end with the block, whatever ends it."""
    running: dict[Future[Any], tuple[int, Any]] = {}
    try:
        yield running
    except BaseException:
        _cancel(running)
        raise


def _cancel(running: "Mapping[Future[Any], tuple[int, Any]]") -> None:
    for is_forced in (False, True):
        for future, (_, ref) in running.items():
            if not future.done():
                with suppress(RayError):
                    ray.cancel(ref, force=is_forced)
        if not wait(running, _GRACE).not_done:
            return


def _hidden(order: Order) -> list[Path]:
    from filler_server.output import unfinished

    return [file for file in unfinished(order.target) if file != order.token]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        # Complete, or gone, since it was seen.
        return 0
