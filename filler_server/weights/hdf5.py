"""Caffe's HDF5 weights: a dataset `data/<layer>/<blob index>` for each blob (`Net::ToHDF5`); `diff` is passed over.

Layer names with a slash make groups within groups. It needs h5py: the extra `hdf5`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument, LimitExceeded, WeightsError
from filler_server.weights.extras import needs_extra
from filler_server.weights.mapped import MappedFile
from filler_server.weights.mapped_tensor import MappedTensor, Segment
from filler_server.weights.names import split_name
from filler_server.weights.stored import BLOCK, StoredLayer, StoredTensor
from filler_server.weights.writer import PlainWriter, Tensor

if TYPE_CHECKING:
    import h5py

_DATA = "data"
_DEEPEST = 64
_MOST_OBJECTS = 1 << 18

_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError)
"""What h5py raises at a damaged file, depending on where the damage is."""


def read_hdf5(file: MappedFile, resources: ExitStack) -> tuple[tuple[StoredTensor, ...], tuple[StoredLayer, ...]]:
    """Return the tensors and the layers of Caffe's HDF5 weights, in the order of the file.

    Links to other places or other files are not followed. A layer without blobs is an empty group.

    Raises:
        WeightsError: the file is damaged or has no group `data`.
        LimitExceeded: it has too many groups and datasets.
        Unavailable: h5py is not installed.
    """
    with needs_extra("hdf5", "HDF5", "h5py"):
        import h5py
    try:
        root = resources.enter_context(h5py.File(file.path, "r"))
        data = root.get(_DATA)
        reader = _Reader(file)
        reader.read(data)
    except WeightsError:
        raise
    except _DAMAGE as error:
        raise WeightsError(f"the HDF5 file is damaged or cut short: {str(error)[:200]}") from None
    return tuple(reader.tensors), tuple(reader.layers)


class _Reader:
    """Visits the groups below `data`."""

    def __init__(self, file: MappedFile) -> None:
        self._file = file
        self._objects = 0
        self.tensors: list[StoredTensor] = []
        self.layers: list[StoredLayer] = []

    def read(self, data: object) -> None:
        import h5py

        if not isinstance(data, h5py.Group):
            raise WeightsError(f"the HDF5 file holds no weights of Caffe: it has no group '{_DATA}'")
        self.visit(data, "", 0)

    def visit(self, group: "h5py.Group", path: str, depth: int) -> None:
        import h5py

        if depth > _DEEPEST:
            raise WeightsError(f"groups of the HDF5 file are nested deeper than {_DEEPEST}")
        blobs: list[tuple[int, StoredTensor]] = []
        groups: list[tuple[str, h5py.Group]] = []
        for name in group:
            self._count()
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            full = f"{path}/{name}" if path else name
            if isinstance(item, h5py.Group):
                groups.append((full, item))
            elif isinstance(item, h5py.Dataset):
                tensor = _tensor(item, full, self._file)
                parts = split_name(full)
                blobs.append((parts[1] if parts else 0, tensor))
        ordered = [tensor for _, tensor in sorted(blobs, key=lambda blob: blob[0])]
        self.tensors.extend(ordered)
        if path and (ordered or not groups):
            self.layers.append(StoredLayer(path, tuple(ordered)))
        for full, item in groups:
            self.visit(item, full, depth + 1)

    def _count(self) -> None:
        self._objects += 1
        if self._objects > _MOST_OBJECTS:
            raise LimitExceeded.over("objects", _MOST_OBJECTS, self._objects)


def _tensor(dataset: "h5py.Dataset", name: str, file: MappedFile) -> StoredTensor:
    """The tensor of a dataset: mapped where its values lie in one piece."""
    dtype = dataset.dtype
    if dataset.shape is None or dtype.kind not in "fiub" or dtype.subdtype is not None:
        raise WeightsError(f"dataset '{name}' holds no numbers that a blob could have. Received: dtype={dtype}")
    if dataset.external or dataset.is_virtual:
        raise WeightsError(f"dataset '{name}' has its values in other files, which are not followed")
    offset = dataset.id.get_offset()
    if dataset.chunks is None and offset is not None and dtype.kind in "fiu":
        end = offset + dataset.size * dtype.itemsize
        if end > file.size:
            raise WeightsError(
                f"the file is cut short: dataset '{name}' ends at byte {end}. Received: {file.size} bytes"
            )
        return MappedTensor(name, dataset.shape, dtype, file, [Segment(offset, dataset.size, dtype.itemsize)])
    return _DatasetTensor(name, dataset)


class _DatasetTensor(StoredTensor):
    """A tensor that HDF5 has in chunks, perhaps compressed, or has not written at all."""

    def __init__(self, name: str, dataset: "h5py.Dataset") -> None:
        super().__init__(name, dataset.shape, dataset.dtype)
        self._dataset = dataset

    def array(self) -> NDArray[Any]:
        """Return a copy."""
        try:
            return np.asarray(self._dataset[()]).astype(self.dtype, copy=False).reshape(self.shape)
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield copies of ranges of the first axis, and of further axes where one row is large."""
        yield from self._rows(())

    def _rows(self, fixed: tuple[int, ...]) -> Iterator[NDArray[Any]]:
        """The values at fixed indices of the first axes, in C order."""
        left = self.shape[len(fixed) :]
        row = int(np.prod(left[1:], dtype=np.int64)) if left else 1
        if row > BLOCK and len(left) > 1:
            for index in range(left[0]):
                yield from self._rows((*fixed, index))
            return
        step = max(BLOCK // max(row, 1), 1)
        try:
            for start in range(0, left[0] if left else 1, step):
                selection = (*fixed, slice(start, start + step)) if left else ()
                yield np.asarray(self._dataset[selection]).astype(self.dtype, copy=False).reshape(-1)
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> WeightsError:
        return WeightsError(f"dataset '{self.name}' is damaged: {str(error)[:200]}")


class Hdf5Writer(PlainWriter):
    """Writes Caffe's HDF5 weights: the datasets are laid out first, then their bytes are put into their places."""

    def _open(self) -> None:
        with needs_extra("hdf5", "HDF5", "h5py"):
            import h5py
        for tensor in self._tensors:
            _check(tensor)
        if not (self._file.seekable() and self._file.readable()):
            raise InvalidArgument(f"HDF5 is written to a file that can be read, no pipe. Received: {self._file}")
        self._offsets: list[int] = []
        # Times are left out, so that equal tensors make equal files.
        with h5py.File(self._file, "w") as root:
            data = root.create_group(_DATA)
            for tensor in self._tensors:
                self._offsets.append(_create(data, tensor))

    def _begin(self, tensor: Tensor) -> None:
        if tensor.nbytes:
            self._file.seek(self._offsets[self._next])

    def _finish(self) -> None:
        self._file.seek(0, 2)


def _create(data: "h5py.Group", tensor: Tensor) -> int:
    """Create a dataset with its place in the file, and return the place."""
    import h5py

    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.CONTIGUOUS)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plist.set_obj_track_times(False)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    links.set_char_encoding(h5py.h5t.CSET_UTF8)
    space = h5py.h5s.create_simple(tensor.shape) if tensor.shape else h5py.h5s.create(h5py.h5s.SCALAR)
    kind = h5py.h5t.py_create(tensor.dtype.newbyteorder("<"))
    try:
        dataset = h5py.h5d.create(data.id, tensor.name.encode(), kind, space, dcpl=plist, lcpl=links)
    except (ValueError, OSError, RuntimeError) as error:
        raise InvalidArgument(
            f"an HDF5 file cannot hold a tensor of this name beside the others: {str(error)[:200]}. "
            f"Received: name='{tensor.name}'"
        ) from None
    return dataset.get_offset() or 0


def _check(tensor: Tensor) -> None:
    """Make sure that the format can hold the tensor.

    Raises:
        InvalidArgument: it has no such dtype, or the name would mean another place.
    """
    if tensor.dtype.name not in ("float32", "float64", "float16"):
        raise InvalidArgument(
            f"HDF5 weights have float32, float64 and float16. Received: dtype={tensor.dtype}", field="dtype"
        )
    if "\0" in tensor.name or any(part in ("", ".") for part in tensor.name.split("/")):
        raise InvalidArgument(
            f"parts of a name in HDF5 are neither empty nor '.', and have no NUL. Received: name={tensor.name!r}",
            field="name",
        )
