"""Many files of `filler init`: jobs side by side, one display, and what became of each."""

import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from caffe_filler import dtypes
from caffe_filler.errors import Cancelled, FillerError, InvalidArgument
from caffe_filler.files import make_folder, read_file
from caffe_filler.printable import counted
from filler_client import FillerClient, _requests
from filler_client._requests import MOST_FILE_BYTES
from filler_client.cli.jobs import Job
from filler_client.cli.outputs import check_outputs
from filler_client.cli.sources import NetSource, Sources, choose, net_sources, settle_seed, settle_weights
from filler_client.cli.terminal import Advance, print_json, print_line, print_warnings, progress, rate, size
from filler_client.cli.weights_net import print_notes

if TYPE_CHECKING:
    from filler_client import SavedNet

_NET_OPTIONS = ("phase", "level", "stages", "inputs", "tops", "fillers", "strict", "lenient")
_SAVE_OPTIONS = ("dtype", "stream", "data_draws", "names", "ignore_shape", "reshape", "allow_missing")
FAILURES = (FillerError, OSError, click.UsageError)
"""Errors of one job, after which the others go on."""


@dataclass(frozen=True, slots=True)
class Output:
    """The way in which a batch tells what it does.

    Attributes:
        as_json: one object a line and file, in place of text.
        quiet: nothing but errors.
    """

    as_json: bool
    quiet: bool


@dataclass(frozen=True, slots=True)
class _Work:
    """A job with all that is needed to do it.

    Attributes:
        job: the job.
        path: the file to write.
        source: the net.
        before: nets that draw before it.
        seed: its seed.
        weights: trained weights to copy from.
    """

    job: Job
    path: Path
    source: NetSource
    before: Sequence[NetSource]
    seed: int
    weights: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Manifests:
    """Manifests of the outputs.

    Attributes:
        beside_all: each output has one beside it.
        keep_complete: outputs that are complete by their manifests stay as they are.
    """

    beside_all: bool
    keep_complete: bool

    def beside(self, path: Path) -> Path | None:
        """Return the path of the manifest beside an output; None where there is none."""
        from filler_server.digests.manifest import ENDING

        is_needed = self.keep_complete and path.suffix.lower() != ".safetensors"
        return path.with_name(path.name + ENDING) if self.beside_all or is_needed else None


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a job.

    Attributes:
        job: the job.
        path: the file; None where it is not known.
        seconds: how long it took.
        saved: what was written; None after an error.
        parameters: number of learnable values of the net.
        error: why nothing was written.
    """

    job: Job
    path: Path | None
    seconds: float = 0.0
    saved: "SavedNet | None" = None
    parameters: int | None = None
    error: str | None = None


def run_batch(
    client: FillerClient,
    jobs: Sequence[Job],
    folder: Path,
    *,
    workers: int,
    with_manifests: bool,
    keep_complete: bool,
    output: Output,
) -> bool:
    """Do jobs side by side, and return whether all of them succeeded.

    Args:
        client: fills.
        jobs: the jobs.
        folder: folder of the outputs, which is made.
        workers: number of jobs that are worked on at once.
        with_manifests: whether each output has its manifest beside it.
        keep_complete: whether outputs that are complete already stay; those without room for a manifest then have it
            beside them in any case.
        output: how to tell what is done.

    Raises:
        InvalidArgument: two jobs would write one file, or a file that is read, before anything is written.
    """
    begun = time.perf_counter()
    prepared = list(_prepared(jobs, folder))
    works = [work for work in prepared if isinstance(work, _Work)]
    _check_paths(works)
    make_folder(folder)
    done: list[Done] = []
    for failed in prepared:
        if isinstance(failed, Done):
            done.append(failed)
            tell(failed, output)
    with progress(0, quiet=output.quiet) as advance:
        manifests = _Manifests(with_manifests, keep_complete)
        for finished in _results(client, works, workers, manifests, _Count(advance, len(works))):
            done.append(finished)
            tell(finished, output)
    if not (output.quiet or output.as_json):
        _summarize(done, time.perf_counter() - begun)
    return all(one.error is None for one in done)


class _Count:
    """A display of bytes that says how many files are done, too."""

    def __init__(self, advance: Advance, files: int) -> None:
        self._advance = advance
        self._files = files
        self._done = 0

    def ended(self) -> None:
        """Note that a file is done."""
        self._done += 1
        self(0, "")

    def __call__(self, nbytes: int, name: str, more: int = 0) -> None:
        """Note bytes of a file."""
        self._advance(nbytes, f"{self._done} of {counted(self._files, 'file')} {name}", more)


def _prepared(jobs: Sequence[Job], folder: Path) -> Iterator[_Work | Done]:
    """Yield each job with its net and the name of its output, or why it cannot be done."""
    known: dict[tuple[str, ...], Sources] = {}
    for job in jobs:
        try:
            yield _work(job, folder, known)
        except FAILURES as error:
            yield Done(job, None, error=text_of(error))


def _work(job: Job, folder: Path, known: dict[tuple[str, ...], Sources]) -> _Work:
    options: Any = {name: job.options[name] for name in _NET_OPTIONS}
    kind = job.kind or _kind(job.source)
    # However many seeds there are, a net stands in memory once.
    key = (str(job.source), kind, repr(options))
    solver = job.source if kind == "solver" else None
    if key not in known:
        known[key] = net_sources(None if solver else job.source, solver, options)
    sources = known[key]
    source, before = choose(sources, job.options["test_net"])
    seed = settle_seed(sources, job.options["seed"], solver)
    weights = settle_weights(sources, tuple(job.options["weights"]), solver)
    if (job.options["ignore_shape"] or job.options["reshape"]) and not weights:
        raise click.UsageError("--ignore-shape and --reshape go with weights.")
    path = job.output(folder, seed)
    if "\0" in path.name:
        raise InvalidArgument(f"an output's name has no NUL. Received: output={path.name!r}")
    return _Work(job, path, source, before, seed, weights)


def _kind(path: Path) -> str:
    from caffe_filler.signatures import HDF5
    from filler_server.prototxt.rewrite import file_kind

    data = read_file(path, MOST_FILE_BYTES)
    try:
        return "net" if data.startswith(HDF5) else file_kind(data)
    except FillerError as error:
        raise error.in_file(path) from None


def _check_paths(works: Sequence[_Work]) -> None:
    """Make sure that no file would be written twice, or over one that is read, and that each has a format.

    Raises:
        InvalidArgument: one would.
    """
    from filler_server.weights.saving import format_of

    for work in works:
        format_of(work.path)
    # A solver may name its nets, which are read as well.
    read = {
        path
        for work in works
        for path in (work.job.source, work.source.label, *(other.label for other in work.before), *work.weights)
    }
    check_outputs([(work.job.source, work.path) for work in works], read)


def _results(
    client: FillerClient, works: Sequence[_Work], workers: int, manifests: "_Manifests", advance: _Count
) -> Iterator[Done]:
    """Yield the end of each job as it comes; what is unfinished at an error ends at once and leaves nothing."""
    stopped = threading.Event()

    def checked(nbytes: int, name: str, more: int = 0) -> None:
        if stopped.is_set():
            raise Cancelled("the batch has ended before the file was complete")
        advance(nbytes, name, more)

    with _ending(ThreadPoolExecutor(workers, "job"), stopped, client) as pool:
        futures: list[Future[Done]] = [
            # Messages name options as this thread's do.
            pool.submit(copy_context().run, _do, client, work, manifests, checked)
            for work in works
        ]
        for future in as_completed(futures):
            advance.ended()
            yield future.result()


@contextmanager
def _ending(pool: ThreadPoolExecutor, stopped: threading.Event, client: FillerClient) -> Iterator[ThreadPoolExecutor]:
    """Let the jobs end when the block does, whatever ends it."""
    try:
        yield pool
    except BaseException:
        stopped.set()
        # A job may wait for a server that does not answer.
        client.close()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _do(client: FillerClient, work: _Work, manifests: _Manifests, advance: Advance) -> Done:
    begun = time.perf_counter()
    try:
        saved, parameters = _save(client, work, manifests, advance)
    except FAILURES as error:
        return Done(work.job, work.path, time.perf_counter() - begun, error=text_of(error))
    return Done(work.job, work.path, time.perf_counter() - begun, saved, parameters)


def _save(client: FillerClient, work: _Work, manifests: _Manifests, advance: Advance) -> "tuple[SavedNet, int]":
    advance(0, work.path.name)
    options: Mapping[str, Any] = work.job.options
    source = work.source
    try:
        plan = client.plan_net(source.data, **source.options)
        print_warnings(plan.warnings, source.label)
        values = sum(blob.count or 0 for blob in plan.blobs)
        advance(0, work.path.name, values * dtypes.parse(options["dtype"]).itemsize)
        earlier = [_requests.plan_request(other.data, **other.options) for other in work.before]
        saved = client.save_net(
            source.data,
            work.path,
            weights=work.weights or None,
            max_shard_bytes=options["max_shard_size"],
            manifest=manifests.beside(work.path),
            keep_complete=manifests.keep_complete,
            advance=advance,
            seed=work.seed,
            before=earlier if options["stream"] != "philox" else (),
            **{name: options[name] for name in _SAVE_OPTIONS},
            **source.options,
        )
    except FillerError as error:
        raise error if isinstance(error, Cancelled) else error.in_file(source.label) from None
    print_notes(saved.notes, work.path)
    for text in saved.warnings:
        print_line(f"{source.label}: warning: {text}", err=True)
    return saved, plan.parameters


def text_of(error: Exception) -> str:
    """Return what an error says."""
    return error.format_message() if isinstance(error, click.UsageError) else str(error)


def tell(done: Done, output: Output) -> None:
    """Print the end of a job."""
    saved = done.saved
    if output.as_json:
        print_json(
            {
                "net": str(done.job.source),
                "path": None
                if saved is None and done.path is None
                else str(done.path if saved is None else saved.path),
                "parameters": done.parameters,
                "bytes": None if saved is None else saved.nbytes,
                "digest": None if saved is None else saved.manifest.digest,
                "seconds": round(done.seconds, 3),
                "skipped": saved is not None and saved.is_kept,
                "error": done.error,
            },
            indent=None,
        )
    elif saved is None:
        named = (done.error or "").startswith(f"{done.job.source}:")
        print_line(f"filler: {done.error}" if named else f"filler: {done.job.source}: {done.error}", err=True)
    elif not output.quiet:
        kept = ", complete already" if saved.is_kept else ""
        print_line(f"{saved.path}: {counted(done.parameters or 0, 'parameter')}, {size(saved.nbytes)}{kept}")


def _summarize(done: Sequence[Done], seconds: float) -> None:
    written = [one.saved for one in done if one.saved is not None and not one.saved.is_kept]
    kept = sum(one.saved is not None and one.saved.is_kept for one in done)
    failed = sum(one.error is not None for one in done)
    others = "".join(
        f", {number} {what}" for number, what in ((kept, "complete already"), (failed, "failed")) if number
    )
    print_line(
        f"{counted(len(written), 'file')} written{others}: {rate(sum(saved.nbytes for saved in written), seconds)}"
    )
    sys.stdout.flush()
