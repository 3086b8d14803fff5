"""Caffe's HDF5 weights: a dataset `data/<layer>/<blob index>` for each blob (`Net::ToHDF5`); `diff` is passed over.

Layer names with a slash make groups within groups. Tools around Caffe also keep the text of a net in such files, as
`model_prototxt`. It needs h5py: the extra `hdf5`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument, LimitExceeded, PrototxtError, WeightsError
from caffe_filler.printable import counted
from caffe_filler.signatures import HDF5 as SIGNATURE
from filler_server.layouts.caffe import split_name
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.net_text import net_text
from filler_server.prototxt.reader import read_net
from filler_server.tensors import BLOCK, SequentialTensor, Tensor
from filler_server.weights.called_file import CalledFile
from filler_server.weights.compressed import most_unpacked
from filler_server.weights.extras import needs_extra
from filler_server.weights.file import StoredLayer
from filler_server.weights.format import Contents, Extras, Format, Target
from filler_server.weights.mapped import MappedFile, MappedTensor, Segment
from filler_server.weights.message import solver_state
from filler_server.weights.names import check_names
from filler_server.weights.writer import PlainWriter

if TYPE_CHECKING:
    import h5py

_DATA = "data"
_NET = "model_prototxt"
_LONGEST_TEXT = 64 << 20
_DEEPEST = 64
_MOST_OBJECTS = 1 << 18
_UNPACKED_AT_ONCE = 64 << 20
"""Bytes of a dataset in chunks that are unpacked at a time."""

_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError)
"""Errors of h5py at a damaged file, depending on where the damage is."""


def read_hdf5(file: MappedFile, path: Path, resources: ExitStack) -> Contents:
    """Read Caffe's HDF5 weights; tensors and layers are in the order of the file.

    Links to other places or other files are not followed. A layer without blobs is an empty group.

    Raises:
        WeightsError: the file is damaged, the state of a solver, or has neither weights nor a net.
        LimitExceeded: it has too many groups and datasets, or is far longer when it is unpacked.
        Unavailable: h5py is not installed.
    """
    with needs_extra("hdf5", "HDF5", "h5py"):
        import h5py
    try:
        root = resources.enter_context(h5py.File(file.path, "r"))
        net, text = _net(root)
        reader = _Reader(file)
        data = root.get(_DATA)
        if isinstance(data, h5py.Group):
            reader.visit(data, "", 0)
        elif net is None:
            raise _without_weights(root)
    except (WeightsError, PrototxtError):
        raise
    except _DAMAGE as error:
        raise WeightsError(f"the HDF5 file is damaged or cut short: {str(error)[:200]}") from None
    return Contents(tuple(reader.tensors), tuple(reader.layers), net, text)


def _net(root: "h5py.File") -> tuple[NetParameter | None, bytes | None]:
    """Return the net that the text `model_prototxt` describes, and it as text where it has fields of forks."""
    text = _text(root, _NET)
    if text is None:
        return None, None
    try:
        document = read_net(text, limits=ReadLimits(), lenient=True)
    except PrototxtError as error:
        raise error.within(_NET) from None
    for layer in document.net.layer:
        del layer.blobs[:]
    return document.net, net_text(document.net, document.unknown) if any(document.unknown) else None


def _text(root: "h5py.File", name: str) -> bytes | None:
    """A text that is a dataset or an attribute of the file: a string, or its characters, as MATLAB has them."""
    import h5py

    dataset = root.get(name)
    if isinstance(dataset, h5py.Dataset):
        if dataset.size is None or dataset.size > _LONGEST_TEXT:
            raise WeightsError(
                f"'{name}' of the HDF5 file is not the text of a net. Received: {dataset.size} characters"
            )
        value = dataset[()]
    elif name in root.attrs:
        value = root.attrs[name]
    else:
        return None
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        return "".join(map(chr, array.reshape(-1).tolist())).encode()
    if array.size != 1 or array.dtype.kind not in "OSU":
        raise WeightsError(f"'{name}' of the HDF5 file is not text. Received: dtype={array.dtype}")
    text = array.reshape(-1)[0]
    return text.encode() if isinstance(text, str) else bytes(text)


def _without_weights(root: "h5py.File") -> WeightsError:
    learned_net = _text(root, "learned_net") if "iter" in root else None
    if learned_net is not None:
        return WeightsError(solver_state(learned_net.decode(errors="replace")))
    return WeightsError(f"the HDF5 file holds no weights of Caffe: it has no group '{_DATA}'")


class _Reader:
    """Visits the groups below `data`."""

    def __init__(self, file: MappedFile) -> None:
        self._file = file
        self._objects = 0
        self._names = 0
        self.tensors: list[Tensor] = []
        self.layers: list[StoredLayer] = []

    def visit(self, group: "h5py.Group", path: str, depth: int) -> None:
        import h5py

        if depth > _DEEPEST:
            raise WeightsError(f"groups of the HDF5 file are nested deeper than {_DEEPEST}")
        blobs: list[tuple[int, Tensor]] = []
        groups: list[tuple[str, h5py.Group]] = []
        for name in group:
            self._count()
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            full = f"{path}/{name}" if path else name
            self._names += len(full)
            check_names(self._names, self._file.size)
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


def _tensor(dataset: "h5py.Dataset", name: str, file: MappedFile) -> Tensor:
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
                f"the file is cut short: dataset '{name}' ends at byte {end}. Received: {counted(file.size, 'byte')}"
            )
        return MappedTensor(name, dataset.shape, dtype, file, [Segment(offset, dataset.size, dtype.itemsize)])
    nbytes, longest = max(dataset.size, prod(dataset.chunks or ())) * dtype.itemsize, most_unpacked(file.size)
    if nbytes > longest:
        raise LimitExceeded.over("unpacked_bytes", longest, nbytes)
    return SequentialTensor(name, dataset.shape, dtype, lambda start: _rows(dataset, start))


def _rows(dataset: "h5py.Dataset", start: int) -> Iterator[NDArray[Any]]:
    """Yield values of a dataset that is in chunks, perhaps compressed, or not written at all, from one on."""
    try:
        yield from _rows_at(dataset, (), start)
    except _DAMAGE as error:
        raise WeightsError(f"dataset '{dataset.name}' is damaged: {str(error)[:200]}") from None


def _rows_at(dataset: "h5py.Dataset", fixed: tuple[int, ...], start: int) -> Iterator[NDArray[Any]]:
    """Yield the values at fixed indices of the first axes, in C order from `start` on.

    They are ranges of the next axis, and of further axes where one row is large.
    """
    left = dataset.shape[len(fixed) :]
    row = prod(left[1:])
    # A chunk is unpacked whole, whatever is wanted of it.
    most = BLOCK if dataset.chunks is None else max(BLOCK, _UNPACKED_AT_ONCE // dataset.dtype.itemsize)
    if not left:
        yield _native(dataset[fixed])[start:]
    elif row > most and len(left) > 1:
        for index in range(start // row, left[0]):
            yield from _rows_at(dataset, (*fixed, index), max(start - index * row, 0))
    elif row:
        step = max(most // row, 1)
        rows = 1 if dataset.chunks is None else dataset.chunks[len(fixed)]
        step -= step % rows if step > rows else 0
        # Whole chunks from the first on, wherever the reader begins.
        for first in range(start // row // step * step, left[0], step):
            values = _native(dataset[(*fixed, slice(first, first + step))])
            for begin in range(max(start - first * row, 0), values.size, BLOCK):
                yield values[begin : begin + BLOCK]


def _native(values: Any) -> NDArray[Any]:
    array = np.asarray(values)
    return array.astype(array.dtype.newbyteorder("="), copy=False).reshape(-1)


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
        with CalledFile(self._file) as file, h5py.File(file, "w") as root:
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


def _recognizes(file: MappedFile) -> bool:
    """Whether the signature stands at 0, 512, 1024, 2048 ..., as the format allows."""
    offset = 0
    while offset < file.size:
        if file.read(offset, offset + len(SIGNATURE)) == SIGNATURE:
            return True
        offset = 2 * offset or 512
    return False


def _open_writer(target: Target, tensors: Sequence[Tensor], extras: Extras) -> Hdf5Writer:
    return Hdf5Writer(target, tensors)


FORMAT = Format("hdf5", _recognizes, read_hdf5, (".h5", ".hdf5"), _open_writer)
