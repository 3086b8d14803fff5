"""PyTorch's files: a state_dict as `torch.save` writes it. It needs PyTorch: the extra `torch`."""

import sys
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument, WeightsError
from filler_server.weights.archive import EPOCH, ArchiveWriter, open_archive
from filler_server.weights.extras import needs_extra
from filler_server.weights.mapped import MappedFile
from filler_server.weights.mapped_tensor import MappedTensor, Segment
from filler_server.weights.stored import ArrayTensor, StoredTensor
from filler_server.weights.writer import Tensor

if TYPE_CHECKING:
    import torch

_DTYPES = ("float32", "float64", "float16", "bfloat16")
_BFLOAT16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Under these a training program keeps its state_dict beside other things."""

_STORAGE = "archive/data/"
_LEFT_OUT = "archive/."
"""Records from which PyTorch works out where its own archives have what, and an identity; none is needed."""
_ALIGNMENT = 64
_LOCAL_HEADER, _ZIP64_FIELD, _FIELD_HEADER = 30, 20, 4
_PADDING_FIELD = b"FB"
"""The extra field by which PyTorch aligns what is in its archives."""


def read_torch(file: MappedFile) -> tuple[StoredTensor, ...]:
    """Return the tensors of a state_dict, without running what a pickle may hold (`weights_only`).

    Of an archive only what describes the tensors is read; of a file of PyTorch before 1.6 everything.

    Raises:
        WeightsError: the file is damaged, or holds something other than tensors by name.
        Unavailable: PyTorch is not installed.
    """
    with needs_extra("torch", "a file of PyTorch", "torch"):
        import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    mapped = _has_plain_records(file)
    # Anything may be raised by a damaged archive or pickle.
    try:
        with FakeTensorMode() if mapped else nullcontext():
            loaded = torch.load(file.path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).strip().split("\n", 1)[0][:200]
        raise WeightsError(f"PyTorch cannot read the file: {first}") from None
    found = next((loaded[key] for key in _WRAPPERS if isinstance(_get(loaded, key), Mapping)), loaded)
    if not isinstance(found, Mapping):
        raise WeightsError(f"the file holds no tensors by name. Received: {type(found).__name__}")
    tensors = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"the file holds no tensors by name. Received: {[str(name)[:50] for name in found][:10]}")
    return tuple(_stored(name, value, file if mapped else None) for name, value in tensors.items())


def _has_plain_records(file: MappedFile) -> bool:
    """Whether the values lie in the file as this machine has them in memory."""
    if not zipfile.is_zipfile(file.path):
        return False
    archive = open_archive(file)
    orders = [name for name in archive.namelist() if name.rpartition("/")[2] == "byteorder"]
    return sys.byteorder == "little" and all(archive.read(name) == b"little" for name in orders)


def _get(loaded: Any, key: str) -> Any:
    return loaded.get(key) if isinstance(loaded, Mapping) else None


def _stored(name: str, tensor: "torch.Tensor", file: MappedFile | None) -> StoredTensor:
    """The values of a tensor: in the file, or in memory where PyTorch has read them.

    Raises:
        WeightsError: it has no values of one kind in one piece of memory.
    """
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        raise WeightsError(f"tensor '{name}' is sparse, quantized or complex. Received: {tensor.dtype}")
    dtype = _numpy_dtype(name, tensor.dtype)
    shape, size = tuple(tensor.shape), dtype.itemsize
    storage = tensor.untyped_storage()
    first, last = tensor.storage_offset(), tensor.storage_offset()
    if tensor.numel():
        last += sum((length - 1) * stride for length, stride in zip(shape, tensor.stride(), strict=True)) + 1
    if file is None:
        flat = tensor.detach().contiguous().reshape(-1)
        array: NDArray[Any] = flat.view(torch.uint8).numpy().view(dtype).reshape(shape)
        return ArrayTensor(name, shape, dtype, lambda: array)
    offset = storage._checkpoint_offset
    if offset is None or last * size > storage.nbytes() or offset + storage.nbytes() > file.size:
        raise WeightsError(f"the values of tensor '{name}' do not lie in the file. Received: {file.size} bytes")
    if tensor.is_contiguous():
        return MappedTensor(name, shape, dtype, file, [Segment(offset + first * size, tensor.numel(), size)])
    strides = [stride * size for stride in tensor.stride()]
    piece = file.array(offset + first * size, last - first, dtype)
    return ArrayTensor(name, shape, dtype, lambda: as_strided(piece, shape, strides, writeable=False))


def _numpy_dtype(name: str, dtype: "torch.dtype") -> np.dtype[Any]:
    import torch

    if dtype == torch.bfloat16:
        return _BFLOAT16
    try:
        found: np.dtype[Any] = torch.empty(0, dtype=dtype).numpy().dtype
    except TypeError:
        raise WeightsError(f"tensor '{name}' has a dtype that NumPy lacks. Received: {dtype}") from None
    return found


class TorchWriter(ArchiveWriter):
    """Writes a state_dict, which `torch.load` opens, also with `mmap=True`.

    PyTorch itself writes everything but the values, which it would need in memory at once; they are streamed into an
    archive of the same records.
    """

    def _open(self) -> None:
        for tensor in self._tensors:
            if tensor.dtype.name not in _DTYPES:
                raise InvalidArgument(
                    f"a state_dict is written with {', '.join(_DTYPES)}. Received: dtype={tensor.dtype}", field="dtype"
                )
        with tempfile.TemporaryFile() as skeleton:
            _save_without_values(skeleton, self._tensors)
            with zipfile.ZipFile(skeleton) as archive:
                names = [name for name in archive.namelist() if not name.startswith((_STORAGE, _LEFT_OUT))]
                records = {name: archive.read(name) for name in names}
        super()._open()
        for name, content in records.items():
            with self._archive.open(self._info(name), "w", force_zip64=True) as entry:
                entry.write(content)

    def _begin(self, tensor: Tensor) -> None:
        self._begin_entry(self._info(f"{_STORAGE}{self._next}"))

    def _info(self, name: str) -> zipfile.ZipInfo:
        """An entry whose data start at a multiple of `_ALIGNMENT`."""
        info = zipfile.ZipInfo(name, EPOCH)
        ahead = self._file.tell() + _LOCAL_HEADER + len(name.encode()) + _FIELD_HEADER + _ZIP64_FIELD
        padding = -ahead % _ALIGNMENT
        info.extra = _PADDING_FIELD + padding.to_bytes(2, "little") + bytes(padding)
        return info


def _save_without_values(file: IO[bytes], tensors: "list[Tensor]") -> None:
    """Let PyTorch write a file in which the values are a hole.

    Raises:
        Unavailable: PyTorch is not installed.
    """
    with needs_extra("torch", "a file of PyTorch", "torch"):
        import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.serialization import skip_data

    with FakeTensorMode(), skip_data(materialize_fake_tensors=True):
        empty = {tensor.name: torch.empty(tensor.shape, dtype=getattr(torch, tensor.dtype.name)) for tensor in tensors}
        torch.save(empty, file)
