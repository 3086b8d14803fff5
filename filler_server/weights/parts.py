"""A set of .safetensors written by several processes that do not know of each other, each some of its files.

The files of part k of n are every n-th one, from the k-th on: the same bytes as those of one process that writes all.
When all are there, `finish` holds them to their manifests and writes the index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from caffe_filler.errors import FillerError, InvalidArgument, WeightsError
from caffe_filler.interface import option, option_name
from caffe_filler.printable import counted
from filler_server.digests import Draft, Entry, Manifest
from filler_server.digests.manifest import KEY
from filler_server.output import write_atomically
from filler_server.tensors import Advance, Tensor
from filler_server.weights.formats.shards import index_of, index_text, remove_others, shard_paths, shards_of
from filler_server.weights.opening import open_weights
from filler_server.weights.saving import Saved, format_of, save
from filler_server.weights.verification import verified

_MOST_NAMED = 8


def save_part(
    tensors: Sequence[Tensor],
    target: Path,
    *,
    part: tuple[int, int],
    max_shard_bytes: int | None,
    metadata: Mapping[str, str],
    draft: Draft,
    advance: Advance | None = None,
) -> Saved:
    """Write the files that a part owns; an index that is there is removed, as it may be of other files.

    Args:
        tensors: those of the whole set.
        target: `<name>.safetensors`.
        part: number of the part, from 1, and number of all parts.
        max_shard_bytes: length of a file.
        metadata: is written to each file.
        draft: the manifest of the whole set.
        advance: is told the bytes of each step.

    Raises:
        InvalidArgument: there is no such part, or the format is not written in several files.
        FillerError: the values of a tensor cannot be had.
        OSError: a file cannot be written.
    """
    number, parts = part
    if not 1 <= number <= parts:
        raise InvalidArgument(
            f"parts are numbered from 1 to their number. Received: {option('part', f'{number}/{parts}')}", field="part"
        )
    files = _files(tensors, target, max_shard_bytes, "part")
    index_of(target).unlink(missing_ok=True)
    saved = [
        save(shard, path, metadata=metadata, draft=draft, advance=advance) for path, shard in files[number - 1 :: parts]
    ]
    own = {name: entry for one in saved if one.manifest is not None for name, entry in one.manifest.tensors.items()}
    whole = draft.manifest()
    return Saved(
        saved[0].path if saved else None,
        tuple(path for one in saved for path in one.files),
        sum(one.tensors for one in saved),
        sum(one.nbytes for one in saved),
        tuple(note for one in saved for note in one.notes),
        Manifest(whole.library, own, whole.fill),
    )


def finish(
    tensors: Sequence[Tensor],
    target: Path,
    *,
    max_shard_bytes: int | None,
    draft: Draft,
    advance: Advance | None = None,
) -> Saved:
    """Hold the files of all parts to their manifests and write the index; files of earlier sets are removed.

    Args:
        tensors: those of the whole set, of which no value is read.
        target: `<name>.safetensors`.
        max_shard_bytes: length of a file.
        draft: the manifest of the whole set, digests aside.
        advance: is told the bytes that are read.

    Raises:
        WeightsError: files are missing, damaged or of another run; the message names them.
        InvalidArgument: the format is not written in several files.
        OSError: a file cannot be read or written.
    """
    files = _files(tensors, target, max_shard_bytes, "finish")
    wanted = draft.manifest()
    found: dict[str, Entry] = {}
    faults: list[str] = []
    for path, shard in files:
        try:
            entries = _checked(path, shard, wanted, advance)
        except FileNotFoundError:
            faults.append(f"{path.name} is missing")
        except FillerError as error:
            faults.append(f"{path.name}: {error.reason}")
        else:
            found.update(entries)
    if faults:
        named = "; ".join(faults[:_MOST_NAMED]) + ("; ..." if len(faults) > _MOST_NAMED else "")
        raise WeightsError(
            f"{counted(len(faults), 'file')} of {len(files)} cannot be taken: {named}. The part that owns a file "
            f"writes it again. Received: {target}"
        )
    paths = [path for path, _ in files]
    if len(files) > 1:
        write_atomically(index_of(target), index_text(files))
        paths = [index_of(target), *paths]
    removed = ", ".join(path.name for path in remove_others(target, paths))
    notes = (f"removed what an earlier run had left under this name: {removed}",) if removed else ()
    nbytes = sum(tensor.nbytes for tensor in tensors)
    return Saved(paths[0], tuple(paths), len(tensors), nbytes, notes, Manifest(wanted.library, found, wanted.fill))


def _files(
    tensors: Sequence[Tensor], target: Path, max_shard_bytes: int | None, asked: str
) -> list[tuple[Path, list[Tensor]]]:
    """Return the path and the tensors of each file of a set."""
    if max_shard_bytes is None or not format_of(target).has_shards:
        raise InvalidArgument(
            f"only a .safetensors with {option_name('max_shard_bytes')} is divided. "
            f"Received: {option_name(asked)}, {target}",
            field=asked,
        )
    shards = shards_of(tensors, max_shard_bytes)
    return list(zip(shard_paths(target, len(shards)) if len(shards) > 1 else [target], shards, strict=True))


def _checked(path: Path, shard: Sequence[Tensor], wanted: Manifest, advance: Advance | None) -> dict[str, Entry]:
    """Return the entries of a file that is what it should be.

    Raises:
        WeightsError: it is not.
        OSError: it cannot be read.
    """
    with open_weights(path) as weights:
        if KEY not in weights.metadata:
            raise WeightsError("it has no manifest")
        manifest = Manifest.parse(weights.metadata[KEY])
        expected = {tensor.name: wanted.tensors[tensor.name] for tensor in shard}
        if not manifest.is_like(Manifest(wanted.library, expected, wanted.fill)):
            raise WeightsError("it is of another run")
        for one in verified(weights.tensors, manifest.tensors, advance=advance):
            if not one.is_equal:
                raise WeightsError(f"tensor '{one.name}': {one.finding}")
    return {name: replace(entry, file=path.name) for name, entry in manifest.tensors.items()}
