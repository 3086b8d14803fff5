"""Files of weights held to their manifests, and manifests to what a client computes."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from caffe_filler.errors import FillerError, InvalidArgument, LimitExceeded, WeightsError
from caffe_filler.interface import option_name

if TYPE_CHECKING:
    from filler_server.digests import Entry, Manifest
    from filler_server.tensors import Advance
    from filler_server.weights.file import WeightsFile
    from filler_server.weights.verification import Verified

ManifestLike: TypeAlias = "str | PathLike[str] | Manifest"

_INDEX = ".index.json"


@dataclass(frozen=True, slots=True)
class Verification:
    """A file of weights, or a folder of them, held to what manifests say of it.

    Attributes:
        tensors: what was found of each tensor, and of files that are missing or damaged.
    """

    tensors: "tuple[Verified, ...]"

    @property
    def is_equal(self) -> bool:
        """Whether everything is as the manifests have it, and there is something."""
        return bool(self.tensors) and all(found.is_equal for found in self.tensors)


def verify(
    path: str | PathLike[str],
    manifest: "ManifestLike | None" = None,
    *,
    advance: "Advance | None" = None,
) -> Verification:
    """Compare a file of weights, or the files of a folder, with the digests of a manifest.

    This finds accidents: a bit that changed, values exchanged, a file cut short or missing. Who wants to can forge both
    a file and its manifest.

    Args:
        path: a file of any format that `open_weights` reads, the index of a set, or a folder.
        manifest: a manifest, or the path of one. None: the one in the metadata of a .safetensors, or the one beside a
            file, called as it is with `.manifest.json` after it; of a folder all of these, where every .safetensors
            has one.
        advance: is told the bytes that are done.

    Raises:
        InvalidArgument: a file has no manifest, or it is not one.
        OSError: the path or the manifest cannot be read.

    Example:
        assert verify("weights.safetensors").is_equal
    """
    place = Path(path)
    place.stat()
    if manifest is None:
        found = _own(place, advance) if place.is_dir() else _with_own_manifest(place, advance)
    else:
        found = _held_to(place, _manifest(manifest), advance)
    return Verification(tuple(found))


def _manifest(manifest: ManifestLike) -> "Manifest":
    from filler_server.digests import Manifest, read_manifest

    return manifest if isinstance(manifest, Manifest) else read_manifest(Path(manifest))


def _held_to(place: Path, manifest: "Manifest", advance: "Advance | None") -> "Iterator[Verified]":
    if not place.is_dir():
        yield from _file(place, manifest.tensors, advance)
        return
    files: dict[str, dict[str, Entry]] = {}
    for name, entry in manifest.tensors.items():
        if entry.file is None:
            raise InvalidArgument(
                f"the manifest does not say in which files of a folder tensors lie: name the file. Received: {place}"
            )
        files.setdefault(entry.file, {})[name] = entry
    for name, entries in files.items():
        yield from _file(place / name, entries, advance)


def _own(folder: Path, advance: "Advance | None") -> "Iterator[Verified]":
    """Hold the files of a folder to their own manifests: those beside files first, then those in files."""
    from filler_server.digests import read_manifest
    from filler_server.digests.manifest import ENDING

    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    done: set[str] = set()
    for name in names:
        if name.endswith(ENDING):
            manifest = read_manifest(folder / name)
            done |= {entry.file for entry in manifest.tensors.values() if entry.file is not None}
            done.add(f"{name.removesuffix(ENDING)}{_INDEX}")
            yield from _held_to(folder, manifest, advance)
    # Of a set its index tells which files there should be.
    for name in names:
        if name.endswith(f".safetensors{_INDEX}") and name not in done:
            done |= {name, *_named_by(folder / name)}
            yield from _with_own_manifest(folder / name, advance)
    for name in names:
        if name.endswith(".safetensors") and name not in done:
            done.add(name)
            yield from _with_own_manifest(folder / name, advance)
    if not done:
        raise InvalidArgument(f"{folder}: no file of the folder has a manifest; {option_name('manifest')} names one")


def _named_by(index: Path) -> set[str]:
    """Return the files that an index names, none where it cannot be read."""
    from filler_server.weights.formats.shards import shards_named

    with suppress(FillerError, OSError):
        return set(shards_named(index))
    return set()


def _with_own_manifest(path: Path, advance: "Advance | None") -> "Iterator[Verified]":
    from filler_server.digests import Manifest, read_manifest
    from filler_server.digests.manifest import ENDING, KEY
    from filler_server.weights.verification import Verified

    beside = path.with_name(path.name.removesuffix(_INDEX) + ENDING)
    if beside.is_file():
        yield from _file(path, read_manifest(beside).tensors, advance)
        return
    opened = _opened(path)
    if isinstance(opened, Verified):
        yield opened
        return
    with opened as weights:
        if KEY not in weights.metadata:
            raise InvalidArgument(
                f"{path}: the file has no manifest, neither in its metadata nor beside it as {beside.name}; "
                f"{option_name('manifest')} names one"
            )
        try:
            manifest = Manifest.parse(weights.metadata[KEY])
        except FillerError as error:
            raise error.in_file(path) from None
        yield from _tensors(weights, path.name, manifest.tensors, advance)


def _file(path: Path, entries: "Mapping[str, Entry]", advance: "Advance | None") -> "Iterator[Verified]":
    """Hold one file to the entries of its tensors; where it cannot be read, that is what was found."""
    from filler_server.weights.verification import Verified

    opened = _opened(path)
    if isinstance(opened, Verified):
        yield opened
        return
    with opened as weights:
        yield from _tensors(weights, path.name, entries, advance)


def _opened(path: Path) -> "WeightsFile | Verified":
    from filler_server.weights.opening import open_weights
    from filler_server.weights.verification import Verified

    try:
        return open_weights(path)
    except FileNotFoundError as error:
        lost = Path(error.filename or path).name
        return Verified("", "missing", detail="the file is not there", file=lost)
    except (WeightsError, LimitExceeded) as error:
        return Verified("", "damaged", detail=error.reason, file=path.name)


def _tensors(
    weights: "WeightsFile", file: str, entries: "Mapping[str, Entry]", advance: "Advance | None"
) -> "Iterator[Verified]":
    from filler_server.weights.verification import Verified, verified

    try:
        yield from verified(weights.tensors, entries, file=file, advance=advance)
    except WeightsError as error:
        yield Verified("", "damaged", detail=error.reason, file=file)
