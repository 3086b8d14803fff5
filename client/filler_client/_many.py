"""Several blobs in one call: in one request, or in as few as the limits of a server leave."""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Unpack

from caffe_filler import dtypes
from caffe_filler.axes import FanAxes
from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerError, InvalidArgument, LimitExceeded
from caffe_filler.v1 import filler_pb2
from filler_client import _requests
from filler_client._answer import Extent
from filler_client._arrays import check_arrays, check_fit
from filler_client._backend import ArrayList, InOrder
from filler_client._requests import FillerLike, RegionLike, ValueOptions

MOST_BLOBS = 1 << 16
"""Blobs of one request, as many as servers take unless they are set otherwise."""

MOST_BYTES = 16 << 20
"""Bytes of one request that describe its blobs, a quarter of what servers take unless they are set otherwise."""

_OF_A_REQUEST = frozenset({"request_blobs", "request_bytes", "request_elements", "sequential_elements", "fields"})
"""Limits of servers to which a part of a request may be within."""

_TOO_LONG = "message larger than max"
"""gRPC's own words for a request that is too long."""

_SHOWN = 200
"""Characters of a name that a message shows."""

_BLOB = re.compile(r"blobs\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class BlobSpec:
    """One of several blobs, or a region of it.

    Attributes:
        filler: a FillerParameter, its prototxt, or the name of a type.
        shape: shape of the whole blob.
        name: selects the random numbers.
        region: the part that is wanted; None: the whole blob.
        axes: which axes of the shape are inputs, outputs and stacks; None: as Caffe has it.
        layout: the same in words, such as `in,out`.
    """

    filler: FillerLike
    shape: Sequence[int]
    name: str = ""
    region: RegionLike | None = None
    axes: FanAxes | None = None
    layout: str | None = None


class Batch(NamedTuple):
    """Blobs of one request.

    Attributes:
        first: the number of the first of them.
        request: the request.
        out: the arrays to receive into.
    """

    first: int
    request: filler_pb2.FillRequest
    out: InOrder


class Batches:
    """The requests for several blobs, each as large as it may be.

    Args:
        blobs: the blobs, in any number.
        out: an array to receive into for each, or None for a new one; None: new ones for all.
        timeout: seconds for all requests together, or None.
        options: those of `ValueOptions`.

    Raises:
        InvalidArgument: a blob or an array cannot be what it should; its number is named.
    """

    def __init__(
        self,
        blobs: Iterable[BlobSpec],
        out: ArrayList | None,
        timeout: float | None,
        **options: Unpack[ValueOptions],
    ) -> None:
        self._values = _requests.values_request(**options)
        self._specs = _specs(blobs, self._values)
        self._out: ArrayList = [None] * len(self._specs) if out is None else _checked(out, self._specs, self._values)
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._open = [(first, stop) for first, stop in _parts(self._specs)][::-1]

    @property
    def remaining(self) -> float | None:
        """Seconds that are left, or None."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def following(self) -> Batch | None:
        """Return what is to be asked for next, or None after all of it."""
        if not self._open:
            return None
        first, stop = self._open.pop()
        request = filler_pb2.FillRequest()
        request.CopyFrom(self._values)
        request.blobs.extend(self._specs[first:stop])
        return Batch(first, request, InOrder(self._out[first:stop]))

    def failed(self, batch: Batch, received: int, error: FillerError) -> None:
        """Ask for what a request did not bring in two smaller ones, if that can help.

        Raises:
            FillerError: it cannot; the error as it is, with the number of the blob among all.
        """
        count = len(batch.request.blobs)
        is_too_much = isinstance(error, LimitExceeded) and (error.limit in _OF_A_REQUEST or _TOO_LONG in error.reason)
        if not is_too_much or received or count == 1:
            raise self._numbered(batch.first, error)
        middle = batch.first + (count + 1) // 2
        self._open += [(middle, batch.first + count), (batch.first, middle)]

    def _numbered(self, first: int, error: FillerError) -> FillerError:
        found = _BLOB.match(error.violations[0].field) if error.violations else None
        if found is None:
            return error
        number = first + int(found[1])
        error.violations = tuple(
            replace(entry, field=_BLOB.sub(f"blobs[{number}]", entry.field, count=1)) for entry in error.violations
        )
        return error.within(_label(number, self._specs[number]))


def _specs(blobs: Iterable[BlobSpec], values: filler_pb2.FillRequest) -> list[filler_pb2.BlobSpec]:
    if isinstance(blobs, BlobSpec) or not isinstance(blobs, Iterable):
        raise InvalidArgument(f"blobs are a sequence of BlobSpec. Received: {type(blobs).__name__}")
    parameters: dict[str, FillerParameter] = {}
    specs = []
    for number, blob in enumerate(blobs):
        if not isinstance(blob, BlobSpec):
            raise InvalidArgument(f"blobs are BlobSpec(filler, shape, name=...). Received: blobs[{number}]={blob!r}")
        try:
            filler = blob.filler
            if isinstance(filler, str):
                # Many blobs have the same filler, and reading its text takes longer than all else.
                filler = parameters.get(filler) or parameters.setdefault(filler, _requests.filler_parameter(filler))
            spec = _requests.blob_spec(filler, blob.shape, blob.name, blob.region, blob.axes, blob.layout)
        except FillerError as error:
            raise error.within(f"blobs[{number}]", field=f"blobs[{number}]") from None
        specs.append(spec)
    if values.stream == filler_pb2.PHILOX:
        unnamed = next((spec for spec in specs if not spec.name and _requests.is_random(spec.filler)), None)
        if unnamed is not None:
            _requests.warn_of_no_name(stacklevel=6)
    return specs


def _checked(out: ArrayList, specs: Sequence[filler_pb2.BlobSpec], values: filler_pb2.FillRequest) -> ArrayList:
    """Return the caller's arrays, if each fits its blob: before anything is written."""
    if not isinstance(out, Sequence):
        raise InvalidArgument(f"out is a sequence of arrays, one for each blob. Received: {type(out).__name__}")
    if len(out) != len(specs):
        raise InvalidArgument(
            f"out has an array for each of the {len(specs)} blobs, or None. Received: {len(out)} of them"
        )
    dtype = dtypes.from_wire(values.dtype)
    given = [(_label(n, spec), array, spec) for n, (spec, array) in enumerate(zip(specs, out, strict=True))]
    check_arrays([(label, array) for label, array, _ in given if array is not None])
    for label, array, spec in given:
        shape = tuple(spec.shape.dim)
        if spec.HasField("region"):
            extent = Extent.of(spec.region, shape)
            if extent is None:
                # What is no region of its blob is refused by whoever fills it.
                continue
            shape = extent.shape
        if array is not None:
            check_fit(label, array, shape, dtype)
    return out


def _label(number: int, spec: filler_pb2.BlobSpec) -> str:
    return f"blobs[{number}] '{spec.name[:_SHOWN]}'"


def _parts(specs: Sequence[filler_pb2.BlobSpec]) -> Iterable[tuple[int, int]]:
    """Yield where the parts of a list begin and end that are not too large for a request."""
    first = nbytes = 0
    for number, spec in enumerate(specs):
        nbytes += spec.ByteSize() + 8
        if number - first == MOST_BLOBS or (nbytes > MOST_BYTES and number > first):
            yield first, number
            first, nbytes = number, spec.ByteSize() + 8
    if first < len(specs):
        yield first, len(specs)
