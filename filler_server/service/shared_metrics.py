"""Metrics of several processes as those of one server.

Each process keeps its numbers in files, by prometheus_client's mode for several processes, so that what one has counted
stays when it dies. A process that takes the place of another goes on with its files.
"""

import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from caffe_filler.errors import InvalidArgument
from filler_server.service.metrics import add_build

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_MEMORY = "/dev/shm"  # noqa: S108 - the folder in it is nobody else's
_OF_ONE = ("process_start_time_seconds", "process_max_fds")
"""Numbers of a process that are not added up."""

_PROCESSOR_TIME = "process_cpu_seconds"


class SharedMetrics:
    """Files of the metrics of the processes, and what adds them up.

    Args:
        pids: the processes that run.
        restarts: how often one took the place of another.

    Raises:
        InvalidArgument: the files cannot be written anywhere.
    """

    def __init__(self, pids: Callable[[], Sequence[int]], restarts: Callable[[], int]) -> None:
        try:
            memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
            self._folder = Path(tempfile.mkdtemp(prefix="filler-metrics-", dir=memory))
        except OSError as error:
            raise InvalidArgument(
                f"metrics of several processes need a folder that can be written, by TMPDIR: {error.strerror}"
            ) from None
        self.environment = {_FOLDER: str(self._folder)}
        """Variables that a process needs to `join`."""
        self.registry = CollectorRegistry()
        MultiProcessCollector(self.registry, str(self._folder))  # type: ignore[no-untyped-call]
        add_build(self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(_Processes(pids, restarts))

    def forget(self, number: int) -> None:
        """Drop what only held while a process ran."""
        mark_process_dead(number, str(self._folder))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Delete the files."""
        shutil.rmtree(self._folder, ignore_errors=True)


def join(number: int) -> None:
    """Let the metrics that this process makes go on where those of an earlier process with that number ended."""
    if _FOLDER in os.environ:
        values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


class _Processes(Collector):
    """Numbers that the kernel has of the processes, this one included."""

    def __init__(self, pids: Callable[[], Sequence[int]], restarts: Callable[[], int]) -> None:
        self._pids = pids
        self._restarts = restarts

    def collect(self) -> Iterator[Metric]:
        """Yield the sums."""
        pids = self._pids()
        yield GaugeMetricFamily("filler_processes", "Processes of the server that run.", len(pids))
        yield CounterMetricFamily(
            "filler_process_restarts", "Processes that took the place of one that had ended.", self._restarts()
        )
        sums = {metric.name: metric for metric in ProcessCollector(registry=None).collect()}
        for pid in pids:
            for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                if metric.name not in _OF_ONE and metric.name in sums:
                    _add(sums[metric.name], sum(sample.value for sample in metric.samples))
        if _PROCESSOR_TIME in sums:
            ended = resource.getrusage(resource.RUSAGE_CHILDREN)
            _add(sums[_PROCESSOR_TIME], ended.ru_utime + ended.ru_stime)
        yield from sums.values()


def _add(metric: Metric, value: float) -> None:
    metric.samples = [sample._replace(value=sample.value + value) for sample in metric.samples]
