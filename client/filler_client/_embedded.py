"""The service without a server: the library in this process, with the interface of the remote backend."""

import sys
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.axes import FanAxes
from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.dtypes import DTypeLike
from caffe_filler.errors import FillerError, Unavailable
from caffe_filler.v1 import filler_pb2
from filler_client._arrays import Receivers, flat
from filler_client._backend import ArrayList, Arrays, BlobDigest, InOrder, Piece, StreamRequest, closed
from filler_client._many import BlobSpec
from filler_client._requests import RegionLike, blob_spec

if TYPE_CHECKING:
    from filler_server.api.requests import Job
    from filler_server.engine.computed import ComputedTensor, FilledBlob
    from filler_server.net.plan import NetPlan

_LONGEST_KEPT = 512
"""Bytes of a filler up to which the description of a blob is kept for further calls."""

_NUMBA = ("numba", "llvmlite")

_PIECE_BYTES = 4 << 20
"""Large enough to share among threads, small enough for the cache that the reader finds it in."""


class EmbeddedBackend:
    """Translates requests exactly as a server does, and computes into the caller's arrays."""

    def __init__(self) -> None:
        self._is_closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        return EmbeddedBackend, ()

    def __repr__(self) -> str:
        return ""

    def list_fillers(self, timeout: float | None) -> filler_pb2.ListFillersResponse:
        """Answer ListFillers."""
        self.check_open()
        from filler_server.api import replies

        return replies.list_fillers()

    def plan_net(self, request: filler_pb2.PlanNetRequest, timeout: float | None) -> "NetPlan":
        """Answer PlanNet; needs no Numba unless draws are to be counted."""
        self.check_open()
        from filler_server.api import planning
        from filler_server.api.expectations import expected
        from filler_server.api.limits import UNLIMITED

        if request.HasField("draws"):
            with needs_numba():
                from filler_server.api import requests
            return requests.plan_net(request, UNLIMITED)
        return expected(planning.plan(request, UNLIMITED))

    def upgrade_net(
        self, request: filler_pb2.UpgradeNetRequest, timeout: float | None
    ) -> filler_pb2.UpgradeNetResponse:
        """Answer UpgradeNet; needs no Numba."""
        self.check_open()
        from filler_server.api import planning, replies
        from filler_server.api.limits import UNLIMITED

        return replies.upgrade_reply(planning.upgrade(request, UNLIMITED))

    def pieces(self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None) -> Iterator[Piece]:
        """Compute piece by piece in two buffers: each while the one before it is being used."""
        free, used = (np.empty(_PIECE_BYTES, np.uint8).data for _ in range(2))
        with ThreadPoolExecutor(1, "fill") as pool:
            parts = _parts(_job(request))
            computed = _compute(pool, parts, free)
            while computed is not None:
                self.check_open()
                piece = computed.result()
                free, used = used, free
                computed = _compute(pool, parts, free)
                yield piece

    def digests(
        self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None
    ) -> "Iterator[BlobDigest]":
        """Sum up each blob as it is computed."""
        self.check_open()
        with needs_numba():
            from filler_server.api import requests
        from filler_client._digests import digest_request
        from filler_server.api.limits import UNLIMITED
        from filler_server.api.replies import blob_header
        from filler_server.engine.digests import computed_digest

        job = requests.digest_job(digest_request(request), UNLIMITED)
        for tensor in job.tensors[job.blob :]:
            self.check_open()
            yield BlobDigest(blob_header(tensor), computed_digest(tensor))

    def arrays(
        self, request: StreamRequest, out: Arrays | InOrder, timeout: float | None, plan: "NetPlan | None" = None
    ) -> Iterator[tuple[str, NDArray[Any]]]:
        """Compute each blob in its array."""
        receivers = Receivers(out)
        for tensor in _job(request).tensors:
            self.check_open()
            array = receivers.array_for(tensor.name, tensor.shape, tensor.dtype)
            tensor.read(0, flat(array))
            yield tensor.name, array

    def close(self) -> None:
        """End the use of the client; there is nothing to free."""
        self._is_closed = True

    def check_open(self) -> None:
        """Make sure that the client is not closed.

        Raises:
            InvalidArgument: it is.
        """
        if self._is_closed:
            raise closed()


def fill_here(blobs: Sequence[BlobSpec], out: ArrayList, *, seed: int, dtype: DTypeLike) -> list[NDArray[Any]] | None:
    """Return what `fill_many` of an embedded client returns, without a request, which takes longer than a small blob.

    Args:
        blobs: the blobs, each with a FillerParameter, and a region without slices.
        out: an array to receive into for each, or None for a new one; they share no memory.
        seed: 0 to 2**64 - 1.
        dtype: one of the four of blobs.

    Returns:
        The arrays; None where a request has to be made, which may be refused; nothing is written then.

    Raises:
        Unavailable: Numba is missing.
    """
    with needs_numba():
        from filler_server.api.requests import kept_blob
        from filler_server.rng.philox import PhiloxStream, expect

    parsed = dtypes.parse(dtype)
    receivers = Receivers(InOrder(out))
    filled: list[tuple[FilledBlob, NDArray[Any]]] = []
    try:
        for blob in blobs:
            text = cast(FillerParameter, blob.filler).SerializePartialToString()
            region = cast(Hashable, blob.region)
            key = _description(text, blob.shape, region, blob.axes) if len(text) <= _LONGEST_KEPT else None
            if key is None or not blob.name:
                return None
            tensor = kept_blob(key, parsed).over(PhiloxStream(seed, blob.name), blob.name)
            filled.append((tensor, receivers.array_for(blob.name, tensor.shape, parsed)))
    except FillerError:
        return None
    expect(sum([array.size for _, array in filled]))
    for tensor, array in filled:
        tensor.read(0, flat(array))
    return [array for _, array in filled]


@lru_cache(maxsize=1024)
def _description(
    filler: bytes, shape: tuple[int, ...], region: RegionLike | None, axes: FanAxes | None
) -> bytes | None:
    """Return the description of a blob without its name; None where the blob may not be kept."""
    from filler_server.api.requests import may_be_kept

    spec = blob_spec(FillerParameter.FromString(filler), shape, "", region, axes)
    key = spec.SerializePartialToString()
    return key if may_be_kept(spec.filler, key) else None


def _parts(job: "Job") -> Iterator[tuple["ComputedTensor", int, int]]:
    """Source, offset and length of each piece; an empty blob has one."""
    first = job.offset
    for tensor in job.tensors[job.blob :]:
        for offset in range(first, max(tensor.nbytes, first + 1), _PIECE_BYTES):
            yield tensor, offset, min(_PIECE_BYTES, tensor.nbytes - offset)
        first = 0


def _compute(
    pool: ThreadPoolExecutor, parts: Iterator[tuple["ComputedTensor", int, int]], buffer: memoryview
) -> Future[Piece] | None:
    """Let the next piece be computed; None after the last."""
    from filler_server.api.replies import blob_header

    if (part := next(parts, None)) is None:
        return None
    tensor, offset, length = part

    def compute() -> Piece:
        data = buffer[:length]
        tensor.read_bytes(offset, data)
        return Piece(blob_header(tensor), tensor.shape, offset, data, offset + length == tensor.nbytes)

    return pool.submit(compute)


def _job(request: StreamRequest) -> "Job":
    with needs_numba():
        from filler_server.api import requests
    from filler_server.api.limits import UNLIMITED
    from filler_server.rng.philox import expect

    if isinstance(request, filler_pb2.FillRequest):
        job = requests.fill_job(request, UNLIMITED)
    else:
        job = requests.fill_net_job(request, UNLIMITED)
    expect(sum(tensor.count for tensor in job.tensors[job.blob :]))
    return job


@contextmanager
def needs_numba(
    work: str = "computing weights in this process", otherwise: str = ", or name a server"
) -> Iterator[None]:
    """Say kindly what is missing where the extra `server` is not installed.

    Args:
        work: what needs it.
        otherwise: what else would help.

    Raises:
        Unavailable: Numba is missing.
    """
    missing = Unavailable(f"{work} needs Numba: pip install 'caffe-filler[server]'{otherwise}")
    # Few values are made without it, but nobody should have to know how few.
    if any(sys.modules.get(name) is None and find_spec(name) is None for name in _NUMBA):
        raise missing
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _NUMBA:
            raise
        raise missing from None
