"""Files of weights held to their manifests, and manifests to what a client computes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from caffe_filler.errors import FillerError, InvalidArgument, LimitExceeded, WeightsError
from caffe_filler.interface import option_name
from filler_client._recomputed import recomputed
from filler_client._requests import NetLike

if TYPE_CHECKING:
    from filler_client._client import FillerClient
    from filler_server.digests import Entry, Manifest
    from filler_server.tensors import Advance
    from filler_server.weights.file import WeightsFile
    from filler_server.weights.verification import Verified

ManifestLike: TypeAlias = "str | PathLike[str] | Manifest"

_INDEX = ".index.json"
_SAFETENSORS = ".safetensors"
"""Ending of a name, in small or capital letters."""

_SHARD = re.compile(r"(?P<stem>.+)-\d{5,}-of-(?P<count>\d{5,})(?P<ending>\.safetensors)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verification:
    """A file of weights, or a folder of them, held to what manifests say of it.

    Attributes:
        tensors: what was found of each tensor, and of files that are missing or damaged.
        computed: number of the tensors whose digests a client has computed; others were copied from trained weights,
            or are made of several blobs.
    """

    tensors: "tuple[Verified, ...]"
    computed: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether everything is as the manifests have it."""
        return all(found.is_equal for found in self.tensors)


def verify(
    path: str | PathLike[str],
    manifest: "ManifestLike | None" = None,
    *,
    client: "FillerClient | None" = None,
    net: NetLike | None = None,
    advance: "Advance | None" = None,
) -> Verification:
    """Compare a file of weights, or the files of a folder, with the digests of a manifest.

    This finds accidents: a bit that changed, values exchanged, a file cut short or missing. Who wants to can forge both
    a file and its manifest.

    With a client, the digests of all values that were filled are computed, too: by a server, which then sends 16 bytes
    for each blob.

    Args:
        path: a file of any format that `open_weights` reads, the index of a set, or a folder.
        manifest: a manifest, or the path of one. None: the one in the metadata of a .safetensors, or the one beside a
            file, called as it is with `.manifest.json` after it; of a folder all of these, where every .safetensors
            has one.
        client: computes what the manifest says.
        net: the net of the manifest, for the client; Caffe's random numbers need it.
        advance: is told the bytes that are done.

    Raises:
        InvalidArgument: a file has no manifest, or it is not one, which is a finding in a folder; or the client cannot
            compute what it says.
        FillerError: the client fails.
        OSError: the path or the manifest cannot be read.

    Example:
        assert verify("weights.safetensors").is_equal
    """
    place = Path(path)
    place.stat()
    held = _Held(client, net, advance)
    if manifest is None:
        found = held.own(place) if place.is_dir() else held.with_own_manifest(place)
    else:
        found = held.to(place, _manifest(manifest))
    # The number of tensors that were computed is known at the end.
    return Verification(tuple(found), held.computed)


def _manifest(manifest: "ManifestLike") -> "Manifest":
    from filler_server.digests import Manifest, read_manifest

    return manifest if isinstance(manifest, Manifest) else read_manifest(Path(manifest))


class _Held:
    """Files held to manifests.

    Attributes:
        computed: number of the tensors that the client has computed.
    """

    def __init__(self, client: "FillerClient | None", net: NetLike | None, advance: "Advance | None") -> None:
        self._client = client
        self._net = net
        self._advance = advance
        self.computed = 0

    def to(self, place: Path, manifest: "Manifest") -> "Iterator[Verified]":
        """Hold a file, or the files of a folder that a manifest names, to it."""
        if not place.is_dir():
            yield from self._file(place, manifest)
            return
        yield from self._files(place, _by_file(manifest, place))

    def own(self, folder: Path) -> "Iterator[Verified]":
        """Hold the files of a folder to their own manifests: those beside files first, then those in files."""
        from filler_server.digests import read_manifest
        from filler_server.digests.manifest import ENDING
        from filler_server.weights.verification import Verified

        # A link that leads nowhere is a file that was lost.
        names = sorted(path.name for path in folder.iterdir() if not (path.is_dir() or path.name.startswith(".")))
        done: set[str] = set()
        for name in names:
            if name.endswith(ENDING):
                done.add(name)
                try:
                    files = _by_file(read_manifest(folder / name), folder)
                except FillerError as error:
                    yield Verified("", "damaged", detail=error.reason, file=name)
                    continue
                done |= {*files, f"{name.removesuffix(ENDING)}{_INDEX}"}
                yield from self._files(folder, files)
        # Of a set its index tells which files there should be.
        for name in names:
            if name.lower().endswith(f"{_SAFETENSORS}{_INDEX}") and name not in done:
                done |= {name, *_named_by(folder / name)}
                yield from self.with_own_manifest(folder / name, reports=True)
        unfinished: dict[tuple[str, int], list[Path]] = {}
        for name in names:
            if name.lower().endswith(_SAFETENSORS) and name not in done:
                done.add(name)
                shard = _SHARD.fullmatch(name)
                if shard and int(shard["count"]) > 1 and _index_of(shard) not in names:
                    unfinished.setdefault((_index_of(shard), int(shard["count"])), []).append(folder / name)
                else:
                    if shard and _named_by(folder / _index_of(shard)):
                        yield Verified("", "surplus", detail=f"{_index_of(shard)} does not name it", file=name)
                    yield from self.with_own_manifest(folder / name, reports=True)
        for (index, count), shards in unfinished.items():
            detail = f"the set is unfinished: {len(shards)} of its {count} files are there, and no index"
            yield Verified("", "missing", detail=detail, file=index)
            yield from self._apart(shards)
        if not done:
            raise InvalidArgument(f"{folder}: no file there has a manifest; {option_name('manifest')} names one")

    def with_own_manifest(self, path: Path, *, reports: bool = False) -> "Iterator[Verified]":
        """Hold a file to the manifest beside it, or in it.

        With `reports` a manifest that cannot be read is a finding, and beside the file it is passed over.
        """
        from filler_server.digests import read_manifest
        from filler_server.digests.manifest import ENDING, KEY
        from filler_server.weights.verification import Verified

        beside = path.with_name(path.name.removesuffix(_INDEX) + ENDING)
        if beside.is_file():
            try:
                manifest = read_manifest(beside)
            except FillerError:
                if not reports:
                    raise
            else:
                yield from self._file(path, manifest)
                return
        opened = _opened(path)
        shards = [path.with_name(shard) for shard in _named_by(path)] if path.name.endswith(_INDEX) else []
        if isinstance(opened, Verified):
            # A file that is lost or damaged does not keep the others from being looked at.
            found = list(self._apart(shards))
            if all(one.is_equal for one in found):
                yield opened
            yield from found
            return
        with opened as weights:
            if KEY in weights.metadata:
                try:
                    manifest = _manifest_in(weights)
                except FillerError as error:
                    if not reports:
                        raise error.in_file(path) from None
                    yield Verified("", "damaged", detail=error.reason, file=path.name)
                    return
                yield from self._tensors(weights, path, manifest)
                return
        # Of a set whose manifests do not go together none is known.
        found = list(self._apart(shards)) if weights.problems else []
        if not found:
            raise InvalidArgument(
                f"{path}: the file has no manifest, neither in its metadata nor beside it as {beside.name}; "
                f"{option_name('manifest')} names one"
            )
        yield from found

    def _apart(self, shards: Sequence[Path]) -> "Iterator[Verified]":
        """Hold each file of a set to its own manifest, and that to the first one's: all come from one run."""
        from filler_server.weights.verification import Verified

        first: Manifest | None = None
        for shard in shards:
            yield from self.with_own_manifest(shard, reports=True)
            opened = _opened(shard)
            if isinstance(opened, Verified):
                continue
            with opened as weights, suppress(FillerError, KeyError):
                manifest = _manifest_in(weights)
                first = first or manifest
                if differs := _difference(manifest, first):
                    yield Verified(
                        "", "differs", detail=f"another run than the first file's: {differs}", file=shard.name
                    )

    def _files(self, folder: Path, manifests: "Mapping[str, Manifest]") -> "Iterator[Verified]":
        for name, manifest in manifests.items():
            yield from self._file(folder / name, manifest)
        yield from _indexes(folder, manifests)

    def _file(self, path: Path, manifest: "Manifest") -> "Iterator[Verified]":
        """Hold one file to a manifest; where it cannot be read, that is what is found."""
        from filler_server.weights.verification import Verified

        opened = _opened(path)
        if isinstance(opened, Verified):
            yield opened
            return
        with opened as weights:
            yield from self._tensors(weights, path, manifest)

    def _tensors(self, weights: "WeightsFile", path: Path, manifest: "Manifest") -> "Iterator[Verified]":
        from filler_server.weights.verification import Verified, verified

        found: list[Verified] = []
        try:
            found.extend(verified(weights.tensors, manifest.tensors, file=path.name, advance=self._advance))
        except WeightsError as error:
            found.append(Verified("", "damaged", detail=error.reason, file=path.name))
        yield from found if self._client is None else self._with_computed(self._client, found, manifest, path)

    def _with_computed(
        self, client: "FillerClient", found: "Sequence[Verified]", manifest: "Manifest", path: Path
    ) -> "Iterator[Verified]":
        """Yield what was found, and where the client computes something else, that."""
        try:
            digests = recomputed(client, manifest, [one.name for one in found if one.digest is not None], self._net)
        except InvalidArgument as error:
            raise error.in_file(path) from None
        self.computed += len(digests)
        for one in found:
            computed = digests.get(one.name)
            if computed is None or computed in (one.digest, None):
                yield one
            else:
                yield replace(one, finding="differs", detail=f"digest {one.digest}, and {computed} is computed")


def _by_file(manifest: "Manifest", folder: Path) -> "dict[str, Manifest]":
    """Return the manifest of each file of a folder that a manifest names.

    Raises:
        InvalidArgument: it names none.
    """
    files: dict[str, dict[str, Entry]] = {}
    for name, entry in manifest.tensors.items():
        if entry.file is None:
            raise InvalidArgument(
                f"the manifest does not say which file of a folder has a tensor: name the file. Received: {folder}"
            )
        files.setdefault(entry.file, {})[name] = entry
    return {file: replace(manifest, tensors=entries) for file, entries in files.items()}


def _indexes(folder: Path, manifests: "Mapping[str, Manifest]") -> "Iterator[Verified]":
    """Yield the indexes that sets among some files lack, or that are damaged or say something else of them."""
    from filler_server.weights.formats.shards import places_named
    from filler_server.weights.verification import Verified

    sets: dict[str, dict[str, str]] = {}
    for file, manifest in manifests.items():
        shard = _SHARD.fullmatch(file)
        if shard and int(shard["count"]) > 1:
            sets.setdefault(_index_of(shard), {}).update(dict.fromkeys(manifest.tensors, file))
    for name, places in sets.items():
        try:
            if places_named(folder / name) != places:
                yield Verified("", "differs", detail="it names other files or tensors than the manifest", file=name)
        except FileNotFoundError:
            yield Verified("", "missing", detail="the file is not there", file=name)
        except FillerError as error:
            yield Verified("", "damaged", detail=error.reason, file=name)


def _index_of(shard: "re.Match[str]") -> str:
    return f"{shard['stem']}{shard['ending']}{_INDEX}"


def _manifest_in(weights: "WeightsFile") -> "Manifest":
    from filler_server.digests import Manifest
    from filler_server.digests.manifest import KEY

    return Manifest.parse(weights.metadata[KEY])


def _difference(one: "Manifest", other: "Manifest") -> str:
    """Return in what the runs differ that two manifests come from."""
    if one.fill is None or other.fill is None:
        return "" if one.fill is other.fill else "filled, and not filled"
    pairs = [(field.name, getattr(one.fill, field.name), getattr(other.fill, field.name)) for field in fields(one.fill)]
    pairs.append(("library", one.library, other.library))
    return ", ".join(f"{name} {value} in place of {first}" for name, value, first in pairs if value != first)


def _named_by(index: Path) -> list[str]:
    """Return the files beside an index that it names, none where it cannot be read."""
    from filler_server.weights.formats.shards import shards_named

    with suppress(FillerError, OSError):
        return [name for name in shards_named(index) if Path(name).name == name]
    return []


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
