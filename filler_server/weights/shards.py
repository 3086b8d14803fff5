"""A set of safetensors files with an index, named as Hugging Face's libraries name and open them."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from caffe_filler.errors import InvalidArgument
from filler_server.weights.safetensors import check_tensor, header_bytes
from filler_server.weights.writer import AtomicFile, OpenFile, PlainWriter, Tensor

_INDEX = ".index.json"


def shards_of(tensors: Sequence[Tensor], max_bytes: int) -> list[list[Tensor]]:
    """Return the tensors in their order, each group as long as `max_bytes` allows; a longer tensor stands alone.

    Raises:
        InvalidArgument: the size is below 1.
    """
    if max_bytes < 1:
        raise InvalidArgument(f"a shard has at least 1 byte. Received: max_shard_size={max_bytes}")
    shards: list[list[Tensor]] = [[]]
    length = 0
    for tensor in tensors:
        if shards[-1] and length + tensor.nbytes > max_bytes:
            shards.append([])
            length = 0
        shards[-1].append(tensor)
        length += tensor.nbytes
    return shards


class ShardedSafetensorsWriter(PlainWriter):
    """Writes `<name>-00001-of-0000N.safetensors` ... and `<name>.safetensors.index.json`, which names them all.

    Args:
        target: `<name>.safetensors`; no file of this name is written.
        shards: the tensors of each file.
        metadata: what goes into the header of each file.
    """

    def __init__(self, target: Path, shards: Sequence[Sequence[Tensor]], *, metadata: Mapping[str, str]) -> None:
        self._shards = [list(shard) for shard in shards]
        self._metadata = dict(metadata)
        self._firsts = {shard[0].name: number for number, shard in enumerate(self._shards)}
        self._files = _ShardFiles(target, self._shards)
        try:
            super().__init__(self._files, [tensor for shard in self._shards for tensor in shard])
        except BaseException:
            self._files.discard()
            raise

    def _open(self) -> None:
        for tensor in self._tensors:
            check_tensor(tensor)

    def _begin(self, tensor: Tensor) -> None:
        number = self._firsts.get(tensor.name)
        if number is not None:
            self._file = self._files.open(number)
            self._file.write(header_bytes(self._shards[number], self._metadata))


class _ShardFiles(OpenFile):
    """The files of the shards and of the index, which all appear when they are complete, the index last."""

    def __init__(self, target: Path, shards: Sequence[Sequence[Tensor]]) -> None:
        stem = target.name.removesuffix(target.suffix)
        self._paths = [
            target.with_name(f"{stem}-{number:05}-of-{len(shards):05}{target.suffix}")
            for number in range(1, len(shards) + 1)
        ]
        self._index_path = target.with_name(target.name + _INDEX)
        self._shards = shards
        self._parts: list[AtomicFile] = []
        self._index = AtomicFile(self._index_path)
        super().__init__(self._index.file)

    def open(self, number: int) -> BinaryIO:
        """Start the file of a shard and return it."""
        if self._parts:
            self._parts[-1].file.close()
        self._parts.append(AtomicFile(self._paths[number]))
        return self._parts[-1].file

    def commit(self) -> None:
        """Give all files their names."""
        places = {
            tensor.name: path.name for path, shard in zip(self._paths, self._shards, strict=True) for tensor in shard
        }
        total = sum(tensor.nbytes for shard in self._shards for tensor in shard)
        index = {"metadata": {"total_size": total}, "weight_map": places}
        self._index.file.write(json.dumps(index, indent=2, ensure_ascii=False).encode() + b"\n")
        # An older index must not name some files of the old set and some of the new one.
        self._index_path.unlink(missing_ok=True)
        for part in self._parts:
            part.commit()
        self._index.commit()

    def discard(self) -> None:
        """Remove what was written."""
        for part in (*self._parts, self._index):
            with suppress(OSError):
                part.discard()
