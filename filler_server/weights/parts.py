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
from filler_server.output import remove_remains, write_atomically
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
    keep_complete: bool = False,
    advance: Advance | None = None,
) -> Saved:
    """Write the files that a part owns; before that an index is removed, as it may be of other files.

    Args:
        tensors: those of the whole set.
        target: `<name>.safetensors`.
        part: number of the part, from 1, and number of all parts.
        max_shard_bytes: length of a file.
        metadata: is written to each file.
        draft: the manifest of the whole set.
        keep_complete: whether files stay that are what would be written, and whose values have the digests of their
            manifests.
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
    whole = draft.manifest()
    own: dict[str, Entry] = {}
    notes: list[str] = []
    kept: list[Path] = []
    files = files_of(tensors, target, max_shard_bytes, "part")[number - 1 :: parts]
    for path, shard in files:
        found = _complete(path, shard, whole) if keep_complete else None
        if found is not None:
            own.update(found)
            kept.append(path)
            if advance is not None:
                for tensor in shard:
                    advance(tensor.nbytes, tensor.name)
            continue
        index_of(target).unlink(missing_ok=True)
        saved = save(shard, path, metadata=metadata, draft=draft, advance=advance)
        assert saved.manifest is not None  # noqa: S101 - for the type checker
        own.update(saved.manifest.tensors)
        notes += saved.notes
    written = [tensor for _, shard in files for tensor in shard]
    return Saved(
        files[0][0] if files else None,
        tuple(path for path, _ in files),
        len(written),
        sum(tensor.nbytes for tensor in written),
        tuple(notes),
        Manifest(whole.library, own, whole.fill),
        tuple(kept),
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
    files = files_of(tensors, target, max_shard_bytes, "finish")
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
    remove_remains(target)
    removed = ", ".join(path.name for path in remove_others(target, paths))
    notes = (f"removed what an earlier run had left under this name: {removed}",) if removed else ()
    nbytes = sum(tensor.nbytes for tensor in tensors)
    return Saved(paths[0], tuple(paths), len(tensors), nbytes, notes, Manifest(wanted.library, found, wanted.fill))


def files_of(
    tensors: Sequence[Tensor], target: Path, max_shard_bytes: int | None, asked: str
) -> list[tuple[Path, list[Tensor]]]:
    """Return the path and the tensors of each file of a set.

    Args:
        tensors: those of the whole set.
        target: `<name>.safetensors`.
        max_shard_bytes: length of a file.
        asked: name of the option for which a set is divided.

    Raises:
        InvalidArgument: the format is not written in several files, or no length is given.
    """
    if max_shard_bytes is None or not format_of(target).has_shards:
        raise InvalidArgument(
            f"only a .safetensors with {option_name('max_shard_bytes')} is divided. "
            f"Received: {option_name(asked)}, {target}",
            field=asked,
        )
    shards = shards_of(tensors, max_shard_bytes)
    return list(zip(shard_paths(target, len(shards)) if len(shards) > 1 else [target], shards, strict=True))


def _complete(path: Path, shard: Sequence[Tensor], wanted: Manifest) -> dict[str, Entry] | None:
    """Return the entries of a file that is there already and what it should be; else None."""
    try:
        return _checked(path, shard, wanted, None)
    except (FillerError, OSError):
        return None


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
        if manifest.library != wanted.library:
            raise WeightsError(f"it is of {manifest.library}, and this is {wanted.library}")
        for one in verified(weights.tensors, manifest.tensors, advance=advance):
            if not one.is_equal:
                raise WeightsError(f"tensor '{one.name}': {one.finding}")
    return {name: replace(entry, file=path.name) for name, entry in manifest.tensors.items()}
