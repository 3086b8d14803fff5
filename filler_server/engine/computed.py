"""One blob, or a region of one, as a tensor whose values are computed."""

from functools import lru_cache
from math import inf, prod
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from caffe_filler.axes import FanAxes
from caffe_filler.caffe.caffe_pb2 import BlobProto
from caffe_filler.errors import FillerError, InvalidArgument
from filler_server.engine.region import Region
from filler_server.fillers import backend, check_in_caffe
from filler_server.fillers.arrangement import Arrangement, arrangement
from filler_server.fillers.base import Filler
from filler_server.fillers.distributions import reach
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import RandomStream, Values
from filler_server.tensors import BLOCK, Tensor

_LEAST_COST = 1 << 18
"""Values that take as long as one of many whole weights, however small it is: about a tenth of a millisecond."""

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


class ComputedTensor(Tensor):
    """A region of a blob in one dtype, computed when it is read.

    Attributes:
        name: name of the blob.
        shape: shape of the region; a flat range has one axis.
        dtype: float32, float64, float16 or bfloat16.
        region: what of the blob it is.
        blob_shape: shape of the whole blob.
        owner: name of the blob whose values this one shares, or None.
        sequential: values of the blob that are computed one after the other for this region, wanted or not, or what
            costs as much.
        is_held: the whole blob is held in memory while the region is read.
        filler_type: type of the filler that computes it, None where none does.
    """

    sequential = 0
    is_held = False
    filler_type: str | None = None

    def __init__(
        self, name: str, region: Region, dtype: np.dtype[Any], *, shape: tuple[int, ...], owner: str | None = None
    ) -> None:
        super().__init__(name, region.shape, dtype)
        self.region = region
        self.blob_shape = shape
        self.owner = owner

    def read_bytes(self, offset: int, out: memoryview) -> None:
        """Write the region's bytes from `offset` to `out`, wherever the values begin and end."""
        size = self.dtype.itemsize
        if offset % size == 0 and len(out) % size == 0:
            self.read(offset // size, np.frombuffer(out, self.dtype))
            return
        first, end = offset // size, -(-(offset + len(out)) // size)
        values = np.empty(end - first, self.dtype)
        self.read(first, values)
        skipped = offset - first * size
        out[:] = values.view(np.uint8).data[skipped : skipped + len(out)]


class FilledBlob(ComputedTensor):
    """Values that a filler computes.

    `filled_shape` is the shape that the filler sees. It differs from the blob's own where a blob shares the values of
    another of equal count (`share_mode: PERMISSIVE`). `axes` say which axes of `shape` are outputs and inputs where
    they are not those of Caffe.

    Raises:
        UnknownFiller: the random numbers are Caffe's, and the filler is not.
        ShapeError, FillerParameterError: the filler cannot fill this shape.
        InvalidArgument: its values do not fit `dtype`, or cannot lie as the axes have it.
    """

    def __init__(
        self,
        name: str,
        filler: Filler,
        random: RandomStream,
        region: Region,
        dtype: np.dtype[Any],
        *,
        shape: tuple[int, ...],
        filled_shape: tuple[int, ...] | None = None,
        owner: str | None = None,
        axes: FanAxes | None = None,
    ) -> None:
        super().__init__(name, region, dtype, shape=shape, owner=owner)
        arranged = None if axes is None else arrangement(shape, axes)
        filled_shape = shape if filled_shape is None else filled_shape
        weight_shape = filled_shape if arranged is None else arranged.shape
        if random.sequential:
            check_in_caffe(filler)
        with _Seen(weight_shape, arranged):
            filler.check(weight_shape)
        distribution = filler.distribution(weight_shape, _FLOAT64 if dtype == _FLOAT64 else _FLOAT32)
        largest, limit = reach(distribution), _largest(dtype)
        if limit < largest < inf:
            raise InvalidArgument(
                f"values of '{filler.type}' reach {largest:.6g} and {dtype} ends at {limit:.6g}. "
                f"Received: dtype={dtype}",
                field="dtype",
            )
        with _Seen(weight_shape, arranged, filler.type):
            self._fill = backend.prepare(distribution, arranged)
        self.filler_type = filler.type
        self._arrangement = arranged
        self._random = random
        # What fills a whole blob keeps it: each tensor has its own, as long as it is read.
        self._whole = distribution if filler.whole else None
        self.is_held = filler.whole and region.count > 0
        if region.count:
            self.sequential = prod(filled_shape) if random.sequential else self._cost(filler, weight_shape)

    def over(self, random: RandomStream, name: str | None = None) -> "FilledBlob":
        """Return the same blob over other random numbers, and under another name where one is given."""
        other = object.__new__(FilledBlob)
        other.__dict__.update(self.__dict__)
        other._random = random
        if name is not None:
            other.name = name
        if self._whole is not None:
            other._forget()
        return other

    def of_seed(self, seed: int) -> "FilledBlob":
        """Return the same blob over the philox stream of its name and another seed.

        Raises:
            InvalidArgument: its random numbers are not those of the philox stream, or the seed is out of range.
        """
        if not isinstance(self._random, PhiloxStream):
            raise InvalidArgument("the blobs of a net over a Caffe stream have no seeds of their own", field="seed")
        return self.over(self._random.of_seed(seed))

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Compute the values; float16 and bfloat16 are the float32 values, rounded to nearest even."""
        if self.dtype.itemsize >= 4 and (out.size <= BLOCK or self.region.is_contiguous):
            self._compute(start, out)
        else:
            self._read_blocks(start, out)
        if self._whole is not None and start + out.size == self.count:
            self._forget()

    def _forget(self) -> None:
        """Drop what fills a whole blob, with what it keeps of it."""
        if self._whole is not None:
            self._fill = backend.prepare(self._whole, self._arrangement)

    def _cost(self, filler: Filler, weight_shape: tuple[int, ...]) -> int:
        cost, arranged, region = filler.cost(weight_shape), self._arrangement, self.region
        if arranged is None or arranged.stacks == 1 or not cost:
            return cost
        least = _LEAST_COST if filler.whole else 0
        return max(cost, least) * arranged.weights_in(region.starts, region.shape, is_flat=region.is_flat)

    def _read_blocks(self, start: int, out: NDArray[Any]) -> None:
        for begin in range(0, out.size, BLOCK):
            block = out[begin : begin + BLOCK]
            if self.dtype.itemsize >= 4:
                self._compute(start + begin, block)
            else:
                values = np.empty(block.size, np.float32)
                self._compute(start + begin, values)
                with np.errstate(over="ignore", under="ignore"):
                    block[...] = values

    def _compute(self, start: int, out: NDArray[Any]) -> None:
        if out.size:
            self._fill(out, self.region.runs(start, out.size), self._random)


class _Seen:
    """Says in an error how a filler sees the blob; a generator would cost as much as a small blob."""

    __slots__ = ("_arrangement", "_of", "_shape")

    def __init__(self, shape: tuple[int, ...], arranged: Arrangement | None, of: str | None = None) -> None:
        self._shape = shape
        self._arrangement = arranged
        self._of = of

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._arrangement is not None and isinstance(error, FillerError):
            of = "" if self._of is None else f" of filler type '{self._of}'"
            error.within(f"weight{of}, [outputs, inputs, kernel...] = {list(self._shape)}")


@lru_cache
def _largest(dtype: np.dtype[Any]) -> float:
    return float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]


class GivenBlob(ComputedTensor):
    """Values that a net holds for the blob itself, converted to `dtype`.

    `values` are all values of the blob, float32 or float64, one-dimensional; nothing of them is copied before it is
    read.
    """

    def __init__(
        self,
        name: str,
        values: Values,
        region: Region,
        dtype: np.dtype[Any],
        *,
        shape: tuple[int, ...],
        owner: str | None = None,
    ) -> None:
        super().__init__(name, region, dtype, shape=shape, owner=owner)
        self._values = values

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Copy the values; what float16 or bfloat16 cannot hold becomes infinite."""
        for begin in range(0, out.size, BLOCK):
            block = out[begin : begin + BLOCK]
            runs = self.region.runs(start + begin, block.size)
            indices = np.repeat(runs.starts - runs.bounds[:-1], np.diff(runs.bounds)) + np.arange(block.size)
            with np.errstate(over="ignore", under="ignore"):
                block[...] = self._values[indices]


def given_values(blob: BlobProto) -> Values:
    """Return the values that a message holds: its float64 ones where it has some, as Caffe does."""
    return np.array(blob.double_data, np.float64) if blob.double_data else np.array(blob.data, np.float32)
