"""Tensors of any kind into a file of any format."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option
from filler_server.digests import Digester, Draft, Manifest, digest_tensor
from filler_server.digests.manifest import ENDING
from filler_server.tensors import Advance, Cast, Tensor
from filler_server.weights.format import Extras, Format
from filler_server.weights.formats import FORMATS
from filler_server.weights.writer import Writer

ENDINGS = tuple(ending for known in FORMATS for ending in known.endings)
"""Endings of the names of files of weights."""

_COPIED_AT_ONCE = 32 << 20


@dataclass(frozen=True, slots=True)
class Saved:
    """Result of writing tensors.

    Attributes:
        path: the file to open: of several files their index; None where an open file was written to.
        files: all files, that one first.
        tensors: number of tensors.
        nbytes: length of all values in bytes.
        notes: what a user of the file should know of its values.
        manifest: the digest of each tensor and where it comes from, where that was asked for.
        kept: those of the files that were complete already, and stayed as they are.
    """

    path: Path | None
    files: tuple[Path, ...]
    tensors: int
    nbytes: int
    notes: tuple[str, ...] = ()
    manifest: Manifest | None = None
    kept: tuple[Path, ...] = ()


def save(
    tensors: Sequence[Tensor],
    target: Path | BinaryIO,
    *,
    metadata: Mapping[str, str] = MappingProxyType({}),
    net: NetParameter | None = None,
    max_shard_bytes: int | None = None,
    draft: Draft | None = None,
    advance: Advance | None = None,
) -> Saved:
    """Write tensors to a file whose format is that of its name's ending; to an open file it is .npy.

    Memory does not grow with the tensors. Where the bytes of one lie in a file as they will be written, the system
    copies them from file to file. The file appears when it is complete; the manifest beside one that was there before
    is removed.

    Args:
        tensors: in the order of the file; each is read once, from its first value to its last.
        target: where to.
        metadata: is written where the format has room for it.
        net: the layers, in the current format, of a .caffemodel or .prototxt.
        max_shard_bytes: a .safetensors that would hold more is written as several files with an index.
        draft: becomes the manifest, which a .safetensors has in its metadata; None: no digests are worked out.
        advance: is told the bytes of each step.

    Raises:
        InvalidArgument: no format has this ending, or the format cannot hold the tensors or be written in shards.
        Unavailable: a library is missing that the format needs.
        FillerError: the values of a tensor cannot be had.
        OSError: a file cannot be read or written.
    """
    extras = Extras(metadata, net, max_shard_bytes, draft)
    notes: list[str] = []
    if draft is not None:
        draft.begin(tensors)
    with _open_writer(target, tensors, extras) as writer:
        for tensor in tensors:
            for nbytes in _write(writer, tensor, draft):
                if advance is not None:
                    advance(nbytes, tensor.name)
            if isinstance(tensor, Cast) and tensor.became_infinite:
                values = f"{tensor.became_infinite} value{'s are' if tensor.became_infinite > 1 else ' is'}"
                notes.append(f"'{tensor.name}': {values} beyond {tensor.dtype} and became infinite")
        stale = _without_manifest(target) if isinstance(target, Path) else ()
    nbytes = sum(tensor.nbytes for tensor in tensors)
    files = writer.files
    manifest = None if draft is None else draft.manifest(writer.places)
    return Saved(
        files[0] if files else None,
        files,
        len(tensors),
        nbytes,
        (*notes, *_replaced((*writer.replaced, *stale))),
        manifest,
    )


def format_of(path: Path) -> Format:
    """Return the format that the name of a file asks for.

    Raises:
        InvalidArgument: none has this ending.
    """
    for known in FORMATS:
        if path.suffix.lower() in known.endings:
            return known
    raise InvalidArgument(f"a file of weights ends in {', '.join(ENDINGS)}. Received: {path}")


def _open_writer(target: Path | BinaryIO, tensors: Sequence[Tensor], extras: Extras) -> Writer:
    known = format_of(target if isinstance(target, Path) else Path("array.npy"))
    if known.open_writer is None:
        raise InvalidArgument(f"files of the format {known.name} are only read. Received: {target}")
    if extras.max_shard_bytes is not None and not known.has_shards:
        shards = ", ".join(ending for form in FORMATS if form.has_shards for ending in form.endings)
        raise InvalidArgument(
            f"only {shards} is written in shards. "
            f"Received: {option('max_shard_bytes', extras.max_shard_bytes)}, {target}",
            field="max_shard_bytes",
        )
    return known.open_writer(target, tensors, extras)


def _write(writer: Writer, tensor: Tensor, draft: Draft | None) -> Iterator[int]:
    """Write a tensor and note its digest; yield the bytes of each step."""
    place = tensor.place
    if draft is not None and (place is not None or tensor.nbytes == 0):
        # What the system copies from file to file does not come by here.
        draft.note(tensor.name, digest_tensor(tensor))
        draft = None
    if tensor.nbytes == 0:
        writer.write(b"")
    elif place is not None:
        for start in range(0, tensor.nbytes, _COPIED_AT_ONCE):
            length = min(_COPIED_AT_ONCE, tensor.nbytes - start)
            writer.copy(place.file.fileno(), place.offset + start, length)
            yield length
    else:
        digester = None if draft is None else Digester(tensor.dtype, tensor.count)
        start = 0
        for block in tensor.blocks():
            values = np.ascontiguousarray(block)
            if draft is not None and digester is not None:
                digester.add_flat(values, start)
                start += values.size
                # Before the last bytes are written, which ends the file of a shard.
                if start == tensor.count:
                    draft.note(tensor.name, digester.digest)
            writer.write(values.view(np.uint8).data)
            yield values.nbytes


def _without_manifest(target: Path) -> tuple[Path, ...]:
    """Remove the manifest beside a file, which is of other values than those that come; return what was removed."""
    beside = target.with_name(target.name + ENDING)
    if not beside.is_file():
        return ()
    beside.unlink()
    return (beside,)


def _replaced(paths: Sequence[Path]) -> list[str]:
    """Return notes on files of an earlier run that are gone now."""
    names = ", ".join(path.name for path in paths)
    return [f"removed what an earlier run had left under this name: {names}"] if names else []
