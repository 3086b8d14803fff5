"""PyTorch's files: a state_dict as `torch.save` writes it. It needs PyTorch: the extra `torch`."""

import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from caffe_filler.errors import InvalidArgument, LimitExceeded, WeightsError
from caffe_filler.signatures import ZIP
from filler_server.tensors import ArrayTensor, Tensor, combined
from filler_server.weights.archive import DAMAGE, ArchiveWriter, open_archive
from filler_server.weights.compressed import most_unpacked
from filler_server.weights.extras import needs_extra
from filler_server.weights.format import Contents, Extras, Format, Target
from filler_server.weights.mapped import MappedFile

if TYPE_CHECKING:
    import torch

_DTYPES = ("float32", "float64", "float16", "bfloat16")
_BFLOAT16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params")
"""Under these a training program keeps its state_dict beside other things."""

_DEEPEST = 3

_BEFORE_ARCHIVES = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""Start of files of PyTorch before 1.6."""

_STORAGE = "archive/data/"
_LEFT_OUT = "archive/."
"""Records from which PyTorch works out where its own archives have what, and an identity; none is needed."""
_ALIGNMENT = 64
_FIELD_HEADER = 4
_PADDING_FIELD = b"FB"
"""The extra field by which PyTorch aligns what is in its archives."""


def read_torch(file: MappedFile, path: Path, resources: ExitStack) -> Contents:
    """Read a state_dict, without running what a pickle may hold (`weights_only`).

    Of an archive only what describes the tensors is read; of a file of PyTorch before 1.6 everything. What training
    programs keep it in, such as `{"state_dict": ..., "epoch": 3}`, is looked into.

    Raises:
        WeightsError: the file is damaged, or holds something other than tensors by name.
        Unavailable: PyTorch is not installed.
    """
    with needs_extra("torch", "a file of PyTorch", "torch"):
        import torch

    mapped = _has_plain_records(file)
    # Anything may be raised by a damaged archive or pickle.
    try:
        loaded = torch.load(file.path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:
        first = str(error).strip().split("\n", 1)[0][:200]
        raise WeightsError(f"PyTorch cannot read the file: {first}") from None
    found = _unwrapped(loaded)
    if not isinstance(found, Mapping):
        raise WeightsError(f"the file holds no tensors by name. Received: {type(found).__name__}")
    tensors = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"the file holds no tensors by name. Received: {[str(name)[:50] for name in found][:10]}")
    return Contents(tuple(_stored(name, value) for name, value in tensors.items()))


def _unwrapped(loaded: Any) -> Any:
    """Return the state_dict inside of what a training program has saved."""
    for _ in range(_DEEPEST):
        inner = next((loaded[key] for key in _WRAPPERS if isinstance(_get(loaded, key), Mapping)), None)
        if inner is None:
            break
        loaded = inner
    return loaded


def _has_plain_records(file: MappedFile) -> bool:
    """Whether the values lie in the file as this machine has them in memory.

    Raises:
        WeightsError: the archive is damaged.
        LimitExceeded: they are compressed, and far longer than the file.
    """
    if not zipfile.is_zipfile(file.path):
        return False
    archive = open_archive(file)
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        # Somebody has packed it anew.
        nbytes, most = sum(entry.file_size for entry in entries), most_unpacked(file.size)
        if nbytes > most:
            raise LimitExceeded.over("unpacked_bytes", most, nbytes)
        return False
    names = [name for name in archive.namelist() if name.rpartition("/")[2] == "byteorder"]
    try:
        orders = [archive.read(name) for name in names]
    except DAMAGE as error:
        raise WeightsError(f"the archive is damaged: {error}") from None
    return sys.byteorder == "little" and all(order == b"little" for order in orders)


def _get(loaded: Any, key: str) -> Any:
    return loaded.get(key) if isinstance(loaded, Mapping) else None


def _stored(name: str, tensor: "torch.Tensor") -> Tensor:
    """The values of a tensor as they lie in memory, or in the file that is mapped there.

    Raises:
        WeightsError: it has no values of one kind in one piece of memory.
    """
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        raise WeightsError(f"tensor '{name}' is sparse, quantized or complex. Received: {tensor.dtype}")
    dtype = _numpy_dtype(name, tensor.dtype)
    negative, plain = tensor.is_neg(), tensor.detach()
    if negative:
        # The view of a view that changes signs has those of the memory.
        plain = torch._neg_view(plain)
    if tensor.dtype == torch.bfloat16:
        plain = plain.view(torch.int16)
    found = ArrayTensor(name, plain.numpy().view(dtype))
    return combined(name, np.negative, found) if negative else found


def _numpy_dtype(name: str, dtype: "torch.dtype") -> np.dtype[Any]:
    import torch

    if dtype == torch.bfloat16:
        return _BFLOAT16
    try:
        found: np.dtype[Any] = torch.empty(0, dtype=dtype, device="cpu").numpy().dtype
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
            self._begin_entry(name, _padding)
            self._append(content)
            self._end_entry()

    def _begin(self, tensor: Tensor) -> None:
        self._begin_entry(f"{_STORAGE}{self._next}", _padding)


def _padding(start: int) -> bytes:
    """Return the extra field after which data that would start at a byte start at a multiple of `_ALIGNMENT`."""
    padding = -(start + _FIELD_HEADER) % _ALIGNMENT
    return _PADDING_FIELD + padding.to_bytes(2, "little") + bytes(padding)


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
        empty = {
            tensor.name: torch.empty(tensor.shape, dtype=getattr(torch, tensor.dtype.name), device="cpu")
            for tensor in tensors
        }
        torch.save(empty, file)


def _recognizes(file: MappedFile) -> bool:
    if not file.starts_with(ZIP):
        return file.starts_with(_BEFORE_ARCHIVES)
    names = [entry.filename for entry in open_archive(file).infolist()]
    return any(name == "data.pkl" or name.endswith("/data.pkl") for name in names)


def _open_writer(target: Target, tensors: Sequence[Tensor], extras: Extras) -> TorchWriter:
    return TorchWriter(target, tensors)


FORMAT = Format("torch", _recognizes, read_torch, (".pt", ".pth"), _open_writer)
