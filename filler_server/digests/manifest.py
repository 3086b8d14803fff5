"""Manifests: of a file where it comes from, and of each of its tensors dtype, shape and digest.

A manifest is a JSON object. It lies beside a file, or in the metadata of a .safetensors, under
`caffe_filler.manifest`. It has no times and no names of machines: the same command gives the same manifest.

    manifest  1, the version of this format
    digest    1, the version of the digests' contract
    library   name and version of what wrote the file
    fill      how the values were filled; absent where they were not
    tensors   by name: dtype, shape, digest, and where they are known: filler, blob, file
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.files import read_file
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.digests import contract
from filler_server.digests.contract import Digest

VERSION = 1
KEY = "caffe_filler.manifest"
"""Key of the metadata of a .safetensors under which its manifest stands."""

ENDING = ".manifest.json"
"""Ending of the name of a manifest that lies beside a file, after the file's own name."""

_LONGEST = 64 << 20
"""Bytes of a manifest at most: those of a net of 65536 blobs with long names."""

_LARGEST_DIM = (1 << 63) - 1
_MOST_AXES = 64
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob of a net whose values, in their order, are those of a tensor: its name and shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of a file.

    Attributes:
        dtype: float32 and so on.
        shape: its shape.
        digest: of its values.
        filler: FillerParameter in prototxt that filled it; None where its values were given, copied or computed.
        blob: the blob that it is, whose values a server can compute; None where it is made of other ones.
        file: name of the file of several that it lies in; None where there is one.
    """

    dtype: str
    shape: tuple[int, ...]
    digest: Digest
    filler: str | None = None
    blob: Blob | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """Origin of the values of a file.

    Attributes:
        net_sha256: SHA-256 of the net's source, in hexadecimal.
        phase, level, stages: state of the net.
        seed, stream: random numbers.
        contract: version of the stream's contract.
        dtype: data type that was asked for.
        names: how the tensors are called: caffe or torch.
        options: what else the values depend on, by the names of the clients' options.
    """

    net_sha256: str
    phase: str
    level: int
    stages: tuple[str, ...]
    seed: int
    stream: str
    contract: int
    dtype: str
    names: str
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest.

    Attributes:
        library: name and version of what wrote the file.
        tensors: the tensors by name, in the order of the file.
        fill: how they were filled; None where they were not.
    """

    library: str
    tensors: Mapping[str, Entry]
    fill: Fill | None = None

    def text(self, *, in_lines: bool = False) -> str:
        """Return the JSON document, in one line or with a line for each tensor."""
        document: dict[str, Any] = {"manifest": VERSION, "digest": contract.VERSION, "library": self.library}
        if self.fill is not None:
            document["fill"] = {name: value for name, value in _plain(self.fill).items() if name != "options" or value}
        entries = {name: _entry(entry) for name, entry in self.tensors.items()}
        if not in_lines:
            return _json({**document, "tensors": entries})
        lines = [f"{_json(name)}: {_json(entry)}" for name, entry in entries.items()]
        head = [f"{_json(name)}: {_json(value)}" for name, value in document.items()]
        return "{\n" + ",\n".join([*head, '"tensors": {\n' + ",\n".join(lines)]) + "\n}\n}\n"

    def is_like(self, other: "Manifest") -> bool:
        """Return whether another one is of the same tensors of the same origin; digests, files and library aside."""
        return self.fill == other.fill and _origins(self) == _origins(other)

    @property
    def digest(self) -> str:
        """Digest of all tensors, whatever files they lie in and in whatever order: 32 hexadecimal digits.

        It is the BLAKE2b, of 16 bytes, of a line of JSON for each tensor in the order of the names, with name, dtype,
        shape and digest.
        """
        lines = (
            _json([name, entry.dtype, list(entry.shape), str(entry.digest)])
            for name, entry in sorted(self.tensors.items())
        )
        return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    @classmethod
    def parse(cls, text: str | bytes) -> "Manifest":
        """Return the manifest of a JSON document.

        Raises:
            InvalidArgument: it is not a manifest, or one of another version.
        """
        try:
            document = json.loads(text, object_pairs_hook=_without_repetition)
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(f"a manifest is a JSON object: {str(error)[:200]}") from None
        version = document.get("manifest") if isinstance(document, dict) else None
        if not _is_integer(version, VERSION):
            raise InvalidArgument(f"a manifest has the version {VERSION}. Received: manifest={_short(version)}")
        _check_keys(document, "a manifest", ("manifest", "digest", "library", "tensors"), ("fill",))
        if not _is_integer(document["digest"], contract.VERSION):
            raise InvalidArgument(
                f"digests are known of contract {contract.VERSION}. Received: digest={_short(document['digest'])}"
            )
        tensors = _mapping(document["tensors"], "tensors")
        return cls(
            _text(document["library"], "library"),
            {name: _read_entry(name, entry) for name, entry in tensors.items()},
            _read_fill(document["fill"]) if "fill" in document else None,
        )


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a file.

    Raises:
        InvalidArgument: the file is not a manifest.
        LimitExceeded: it is too long.
        OSError: it cannot be read.
    """
    data = read_file(path, _LONGEST)
    try:
        return Manifest.parse(data)
    except FillerError as error:
        raise error.in_file(path) from None


def joined(texts: Sequence[str]) -> str:
    """Return the manifest of all the files of a set, from those of each; with one file it is that one as it is.

    Raises:
        InvalidArgument: one is not a manifest, or they are not those of one set.
    """
    if len(texts) == 1:
        return texts[0]
    parts = [Manifest.parse(text) for text in texts]
    if any((part.library, part.fill) != (parts[0].library, parts[0].fill) for part in parts):
        raise InvalidArgument(f"the manifests of a set of files come from one run. Received: {len(parts)} that differ")
    tensors = {name: entry for part in parts for name, entry in part.tensors.items()}
    return Manifest(parts[0].library, tensors, parts[0].fill).text()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _origins(manifest: Manifest) -> dict[str, tuple[object, ...]]:
    return {name: (entry.dtype, entry.shape, entry.filler, entry.blob) for name, entry in manifest.tensors.items()}


def _plain(fill: Fill) -> dict[str, Any]:
    return {entry.name: getattr(fill, entry.name) for entry in fields(fill)} | {"options": dict(fill.options)}


def _entry(entry: Entry) -> dict[str, Any]:
    known = {"dtype": entry.dtype, "shape": list(entry.shape), "digest": str(entry.digest)}
    rest = {"filler": entry.filler, "blob": None if entry.blob is None else asdict(entry.blob), "file": entry.file}
    return {**known, **{name: value for name, value in rest.items() if value is not None}}


def _read_entry(name: str, value: Any) -> Entry:
    where = f"tensor '{_short(name)}'"
    entry = _mapping(value, where)
    _check_keys(entry, where, ("dtype", "shape", "digest"), ("filler", "blob", "file"))
    blob = None
    if "blob" in entry:
        found = _mapping(entry["blob"], f"blob of {where}")
        _check_keys(found, f"blob of {where}", ("name", "shape"), ())
        blob = Blob(_text(found["name"], "name"), _shape(found["shape"], where))
    filler, file = (None if entry.get(key) is None else _text(entry[key], key) for key in ("filler", "file"))
    if file is not None and (Path(file).name != file or file in (".", "..")):
        raise InvalidArgument(f"{where}: a file lies beside the others. Received: file={_short(file)}")
    try:
        digest = Digest.parse(entry["digest"])
    except FillerError as error:
        raise error.within(where) from None
    return Entry(_text(entry["dtype"], "dtype"), _shape(entry["shape"], where), digest, filler, blob, file)


def _read_fill(value: Any) -> Fill:
    found = _mapping(value, "fill")
    known = [entry.name for entry in fields(Fill)]
    _check_keys(found, "fill", [name for name in known if name != "options"], ("options",))
    if not isinstance(found["stages"], list):
        raise InvalidArgument(f"stages are a list. Received: stages={_short(found['stages'])}")
    stages = tuple(_text(stage, "stages") for stage in found["stages"])
    return Fill(
        _text(found["net_sha256"], "net_sha256"),
        _text(found["phase"], "phase"),
        _integer(found["level"], "level"),
        stages,
        _integer(found["seed"], "seed"),
        _text(found["stream"], "stream"),
        _integer(found["contract"], "contract"),
        _text(found["dtype"], "dtype"),
        _text(found["names"], "names"),
        _mapping(found.get("options", {}), "options"),
    )


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a name stands there twice")
    return result


def _check_keys(document: Mapping[str, Any], where: str, needed: Sequence[str], others: Sequence[str]) -> None:
    for name in document:
        if name not in (*needed, *others):
            hint = did_you_mean(nearest(name, (*needed, *others)))
            raise InvalidArgument(f"{where} has no key of this name{hint}. Received: {_short(name)}")
    missing = [name for name in needed if name not in document]
    if missing:
        raise InvalidArgument(f"{where} lacks {missing[0]}. Received: {_short(sorted(document))}")


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidArgument(f"{name} is a JSON object. Received: {_short(value)}")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} is text. Received: {name}={_short(value)}")
    return value


def _integer(value: Any, name: str) -> int:
    if type(value) is not int:
        raise InvalidArgument(f"{name} is a whole number. Received: {name}={_short(value)}")
    return value


def _is_integer(value: Any, wanted: int) -> bool:
    # In Python true and 1.0 equal 1.
    return type(value) is int and value == wanted


def _shape(value: Any, where: str) -> tuple[int, ...]:
    if not (
        isinstance(value, list)
        and len(value) <= _MOST_AXES
        and all(type(dim) is int and 0 <= dim <= _LARGEST_DIM for dim in value)
    ):
        raise InvalidArgument(f"{where}: a shape is a list of up to {_MOST_AXES} dimensions. Received: {_short(value)}")
    return tuple(value)


def _short(value: Any) -> str:
    return repr(value)[:_SHOWN] if not isinstance(value, str) else value[:_SHOWN]
