"""A set of safetensors files with an index, named as Hugging Face's libraries name and open them."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path, PurePath
from typing import BinaryIO

from caffe_filler.errors import FillerError, InvalidArgument, WeightsError
from caffe_filler.interface import option
from caffe_filler.signatures import LOOKED_AT
from filler_server.digests import Draft
from filler_server.digests.manifest import KEY, joined
from filler_server.output import AtomicFile, OpenFile, remove_remains
from filler_server.prototxt.report import Problem
from filler_server.tensors import Tensor
from filler_server.weights.format import Contents, Extras, Format
from filler_server.weights.formats.safetensors_file import (
    LONGEST_HEADER,
    SafetensorsWriter,
    check_tensor,
    header_bytes,
    read_safetensors,
    rewrite_header,
)
from filler_server.weights.mapped import MappedFile
from filler_server.weights.message import is_text
from filler_server.weights.writer import PlainWriter, Writer

_INDEX = ".index.json"
_MOST_SHARDS = 1000


def read_index(file: MappedFile, path: Path, resources: ExitStack) -> Contents:
    """Read the shards of an index, which lie beside it.

    Raises:
        WeightsError: the index or a shard is damaged; or a tensor is missing.
        OSError: a shard cannot be read.
    """
    places, shards = _places(file)
    tensors: list[Tensor] = []
    metadata: dict[str, str] = {}
    manifests: list[str] = []
    for shard in shards:
        if PurePath(shard).name != shard:
            raise WeightsError(f"the shards of an index lie beside it. Received: {shard[:200]!r}")
        mapped = MappedFile.open(path.parent / shard)
        resources.callback(mapped.close)
        try:
            contents = read_safetensors(mapped, path.parent / shard, resources)
        except FillerError as error:
            error.within(shard)
            raise
        tensors.extend(tensor for tensor in contents.tensors if places.get(tensor.name) == shard)
        metadata.update(contents.metadata)
        manifests += [contents.metadata[KEY]] if KEY in contents.metadata else []
    problems: list[Problem] = []
    if len(manifests) > 1:
        del metadata[KEY]
        try:
            metadata[KEY] = joined(manifests)
        except FillerError as error:
            problems.append(Problem(f"the manifests of the files are passed over: {error}"))
    missing = places.keys() - {tensor.name for tensor in tensors}
    if missing:
        raise WeightsError(f"{len(missing)} of the index's tensors are in none of its files. Received: {min(missing)}")
    return Contents(tuple(tensors), metadata=metadata, problems=tuple(problems))


def index_of(target: Path) -> Path:
    """Return the path of the index of a set that is written under a name."""
    return target.with_name(target.name + _INDEX)


def shard_paths(target: Path, count: int) -> list[Path]:
    """Return the paths of the files of a set that is written under a name."""
    stem = target.name.removesuffix(target.suffix)
    return [target.with_name(f"{stem}-{number:05}-of-{count:05}{target.suffix}") for number in range(1, count + 1)]


def places_of(target: Path, shards: Sequence[Sequence[Tensor]]) -> dict[str, str]:
    """Return the name of the shard of each tensor of a set that is written under a name."""
    pairs = zip(shard_paths(target, len(shards)), shards, strict=True)
    return {tensor.name: path.name for path, shard in pairs for tensor in shard}


def index_text(files: Sequence[tuple[Path, Sequence[Tensor]]]) -> bytes:
    """Return the index of files with their tensors."""
    total = sum(tensor.nbytes for _, shard in files for tensor in shard)
    places = {tensor.name: path.name for path, shard in files for tensor in shard}
    index = {"metadata": {"total_size": total}, "weight_map": places}
    return json.dumps(index, indent=2, ensure_ascii=False).encode() + b"\n"


def remove_others(target: Path, kept: Sequence[Path]) -> tuple[Path, ...]:
    """Remove the file of a name, and shards of any set of it, but those that are kept; return what was there."""
    earlier = [target, *_shards_beside(target)]
    return _removed([path for path in earlier if path not in kept and path.exists()])


def places_named(index: Path) -> dict[str, str]:
    """Return the name of the shard of each tensor that an index names.

    Raises:
        WeightsError: it is not an index.
        OSError: it cannot be read.
    """
    file = MappedFile.open(index)
    try:
        return _places(file)[0]
    finally:
        file.close()


def shards_named(index: Path) -> list[str]:
    """Return the names of the files that an index names.

    Raises:
        WeightsError: it is not an index.
        OSError: it cannot be read.
    """
    return sorted(set(places_named(index).values()))


def _places(file: MappedFile) -> tuple[dict[str, str], list[str]]:
    """Return the file of each tensor that an index names, and these files."""
    try:
        places = json.loads(file.read(0, LONGEST_HEADER))["weight_map"]
        shards = sorted(set(places.values()))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise WeightsError(f"the file is not an index of shards of safetensors: {str(error)[:200]}") from None
    if len(shards) > _MOST_SHARDS or not all(isinstance(shard, str) for shard in shards):
        raise WeightsError(f"an index names up to {_MOST_SHARDS} files. Received: {len(shards)}")
    return places, shards


def open_set(target: Path, tensors: Sequence[Tensor], extras: Extras) -> Writer:
    """Return a writer of one file, or of several where one would be longer than `max_shard_bytes`.

    Of what an earlier writer has left under this name, nothing stays beside the new files.

    Raises:
        InvalidArgument: the format cannot hold the tensors.
        OSError: a file cannot be made.
    """
    if extras.max_shard_bytes is not None:
        shards = shards_of(tensors, extras.max_shard_bytes)
        if len(shards) > 1:
            return ShardedSafetensorsWriter(target, shards, metadata=extras.metadata, draft=extras.draft)
    return SafetensorsWriter(_LoneFile(target), tensors, metadata=extras.metadata, draft=extras.draft)


def shards_of(tensors: Sequence[Tensor], max_bytes: int) -> list[list[Tensor]]:
    """Return the tensors in their order, each group as long as `max_bytes` allows; a longer tensor stands alone.

    Raises:
        InvalidArgument: the size is below 1, or makes more files than an index may name.
    """
    if max_bytes < 1:
        raise InvalidArgument(f"a shard has at least 1 byte. Received: {option('max_shard_bytes', max_bytes)}")
    shards: list[list[Tensor]] = [[]]
    length = 0
    for tensor in tensors:
        if shards[-1] and length + tensor.nbytes > max_bytes:
            shards.append([])
            length = 0
        shards[-1].append(tensor)
        length += tensor.nbytes
    if len(shards) > _MOST_SHARDS:
        size = option("max_shard_bytes", max_bytes)
        raise InvalidArgument(f"a set has up to {_MOST_SHARDS} files. Received: {size}, which makes {len(shards)}")
    return shards


class ShardedSafetensorsWriter(PlainWriter):
    """Writes `<name>-00001-of-0000N.safetensors` ... and `<name>.safetensors.index.json`, which names them all.

    Args:
        target: `<name>.safetensors`; no file of this name is written.
        shards: the tensors of each file.
        metadata: what goes into the header of each file.
        draft: the manifest, of which each file has what is of its tensors.
    """

    def __init__(
        self,
        target: Path,
        shards: Sequence[Sequence[Tensor]],
        *,
        metadata: Mapping[str, str],
        draft: Draft | None = None,
    ) -> None:
        self._shards = [list(shard) for shard in shards]
        self._metadata = dict(metadata)
        self._draft = draft
        self._firsts = {shard[0].name: number for number, shard in enumerate(self._shards)}
        self._files = _ShardFiles(target, self._shards)
        try:
            super().__init__(self._files, [tensor for shard in self._shards for tensor in shard])
        except BaseException:
            self._files.discard()
            raise

    @property
    def places(self) -> Mapping[str, str]:
        """Name of the shard of each tensor."""
        return self._files.places

    def _open(self) -> None:
        for tensor in self._tensors:
            check_tensor(tensor)

    def _begin(self, tensor: Tensor) -> None:
        number = self._firsts.get(tensor.name)
        if number is not None:
            self._end_shard(number - 1)
            self._file = self._files.open(number)
            self._file.write(header_bytes(self._shards[number], self._metadata, self._draft))

    def _finish(self) -> None:
        self._end_shard(len(self._shards) - 1)

    def _end_shard(self, number: int) -> None:
        if number >= 0:
            rewrite_header(self._file, self._shards[number], self._metadata, self._draft)


class _LoneFile(AtomicFile):
    """A file of its own, after which no set of the same name stays."""

    def commit(self) -> None:
        """Give the file its name, and remove the index of an earlier set and its shards."""
        super().commit()
        if (index := index_of(self._path)).exists():
            self.replaced = _removed([index, *_shards_beside(self._path)])


class _ShardFiles(OpenFile):
    """The files of the shards and of the index, which all appear when they are complete, the index last."""

    def __init__(self, target: Path, shards: Sequence[Sequence[Tensor]]) -> None:
        self._target = target
        self._paths = shard_paths(target, len(shards))
        self._index_path = index_of(target)
        self._shards = shards
        self._parts: list[AtomicFile] = []
        remove_remains(target)
        self._index = AtomicFile(self._index_path)
        super().__init__(self._index.file)

    @property
    def files(self) -> tuple[Path, ...]:
        """The index, then the shards."""
        return (self._index_path, *self._paths)

    @property
    def places(self) -> dict[str, str]:
        """Name of the shard of each tensor, by the names of the tensors."""
        return places_of(self._target, self._shards)

    def open(self, number: int) -> BinaryIO:
        """Start the file of a shard and return it."""
        if self._parts:
            self._parts[-1].file.close()
        self._parts.append(AtomicFile(self._paths[number], self._index.token))
        return self._parts[-1].file

    def commit(self) -> None:
        """Give all files their names, and remove an earlier file and shards of other numbers."""
        self._index.file.write(index_text(list(zip(self._paths, self._shards, strict=True))))
        # An older index must not name some files of the old set and some of the new one.
        self._index_path.unlink(missing_ok=True)
        for part in self._parts:
            part.commit()
        self._index.commit()
        self.replaced = remove_others(self._target, self._paths)

    def discard(self) -> None:
        """Remove what was written."""
        for part in (*self._parts, self._index):
            with suppress(OSError):
                part.discard()


def _removed(paths: Sequence[Path]) -> tuple[Path, ...]:
    for path in paths:
        path.unlink(missing_ok=True)
    return tuple(paths)


def _shards_beside(target: Path) -> list[Path]:
    """The shards of any set of a name, whatever their number."""
    name = re.compile(rf"{re.escape(target.stem)}-\d{{5}}-of-\d{{5}}{re.escape(target.suffix)}")
    return [path for path in target.parent.iterdir() if name.fullmatch(path.name)]


def _recognizes(file: MappedFile) -> bool:
    start = file.read(0, LOOKED_AT)
    return start.lstrip().startswith(b"{") and is_text(start) and b'"weight_map"' in file.read(0, LONGEST_HEADER)


FORMAT = Format("safetensors", _recognizes, read_index)
