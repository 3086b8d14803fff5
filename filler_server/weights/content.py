"""What a file of weights is, by its content: names mislead, and many files have no ending."""

import re
from typing import Literal, TypeAlias

from caffe_filler.errors import WeightsError
from caffe_filler.signatures import CONTROL, GZIP, HDF5, LOOKED_AT, NPY, ZIP, foreign
from caffe_filler.wire import I32, LEN, VARINT
from filler_server.weights.archive import open_archive
from filler_server.weights.mapped import MappedFile
from filler_server.weights.safetensors import LENGTH_BYTES, LONGEST_HEADER
from filler_server.weights.wire import Walker

Format: TypeAlias = Literal["caffemodel", "binaryproto", "hdf5", "npz", "npy", "safetensors", "index", "torch", "gzip"]

_LEGACY_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_INDEX = re.compile(rb"\s*\{")


def recognize(file: MappedFile) -> Format:
    """Return the format of a file.

    Raises:
        WeightsError: it is none of weights; the message says what it is, where that can be told.
    """
    start = file.read(0, LOOKED_AT)
    if start.startswith(GZIP):
        return "gzip"
    if start.startswith(NPY):
        return "npy"
    if start.startswith(ZIP):
        return _zip_format(file)
    if _is_hdf5(file):
        return "hdf5"
    if start.startswith(_LEGACY_TORCH):
        return "torch"
    if _is_safetensors(file):
        return "safetensors"
    if (what := foreign(start)) is not None:
        raise _refusal(what, start)
    if _is_text(start):
        if _INDEX.match(start) and b'"weight_map"' in file.read(0, LONGEST_HEADER):
            return "index"
        raise _refusal("text, such as the prototxt of a net, which has no trained weights in it", start)
    return _message(file, start)


def _is_text(start: bytes) -> bool:
    """Whether the first bytes of a file are text, the last character of which may be cut."""
    return not CONTROL.search(start) and "\ufffd" not in start.decode("utf-8", "replace")[:-4]


def _zip_format(file: MappedFile) -> Format:
    names = [entry.filename for entry in open_archive(file).infolist()]
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return "torch"
    if any(name.endswith(".npy") for name in names) or not names:
        return "npz"
    raise _refusal("a zip archive without arrays of NumPy or tensors of PyTorch; unpack it first", b"PK")


def _is_hdf5(file: MappedFile) -> bool:
    """Whether the signature stands at 0, 512, 1024, 2048 ..., as the format allows."""
    offset = 0
    while offset < file.size:
        if file.read(offset, offset + len(HDF5)) == HDF5:
            return True
        offset = 2 * offset or 512
    return False


def _is_safetensors(file: MappedFile) -> bool:
    length = int.from_bytes(file.read(0, LENGTH_BYTES), "little")
    plausible = 2 <= length <= LONGEST_HEADER
    return plausible and file.read(LENGTH_BYTES, LENGTH_BYTES + 1) == b"{" and file.size > LENGTH_BYTES + 1


_NET = {(1, LEN), (2, LEN), (3, LEN), (4, VARINT), (5, VARINT), (6, LEN), (7, VARINT), (8, LEN), (100, LEN)}
_LAYERS = {(2, LEN), (100, LEN)}
_STATE = {(1, VARINT), (2, LEN)}
_BLOB = {*((number, VARINT) for number in (1, 2, 3, 4)), (5, LEN), (5, I32), (7, LEN), (8, LEN), (12, LEN)}
_BLOB_NUMBERS = range(1, 14)
_MESSAGE_FIELDS = 1000
"""So many fields are looked at to tell messages apart."""


def _message(file: MappedFile, start: bytes) -> Format:
    """Tell a net, a blob and a solver's state apart by the fields that they have.

    A net has layers; a blob starts with the numbers of a shape or has values; a solver's state has both a number of
    iterations and the name of a net.
    """
    seen: set[tuple[int, int]] = set()
    broken: WeightsError | None = None
    try:
        for count, field in enumerate(Walker(file).fields(0, file.size)):
            seen.add((field.number, field.wire_type))
            if count == _MESSAGE_FIELDS:
                break
    except WeightsError as error:
        broken = error
    if seen >= _STATE:
        raise _refusal("the state of a solver; the weights are in the .caffemodel beside it", start)
    known = seen & _NET
    if seen & _LAYERS and (1, VARINT) not in seen and len(known) * 2 >= len(seen):
        return "caffemodel"
    if seen & _BLOB and all(number in _BLOB_NUMBERS for number, _ in seen) and not seen & {(1, LEN), (2, LEN)}:
        return "binaryproto"
    if broken is not None and known and len(known) == len(seen):
        raise broken
    raise _refusal("none of weights that is known here: no .caffemodel, HDF5, npz, safetensors or torch file", start)


def _refusal(what: str, start: bytes) -> WeightsError:
    received = f" Received: {start[:24]!r}" if start else ""
    return WeightsError(f"the file is {what}.{received}")
