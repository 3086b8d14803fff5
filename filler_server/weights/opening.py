"""Any file of weights, opened by its content."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath

from caffe_filler.errors import FillerError, WeightsError
from filler_server.weights.binaryproto import read_binaryproto
from filler_server.weights.caffemodel import read_caffemodel
from filler_server.weights.compressed import unpacked
from filler_server.weights.content import Format, recognize
from filler_server.weights.mapped import MappedFile
from filler_server.weights.npy import read_npy
from filler_server.weights.npz import read_npz
from filler_server.weights.safetensors import LONGEST_HEADER, read_safetensors
from filler_server.weights.stored import StoredTensor, WeightsFile, layers_by_name

_MOST_SHARDS = 1000


def open_weights(path: str | Path) -> WeightsFile:
    """Open a file of weights of any format that is known, whatever it is called.

    .caffemodel of any age, .binaryproto, Caffe's HDF5, .npz, .npy, .safetensors (also its .index.json), files of
    PyTorch; each also compressed by gzip. Only what describes the tensors is read.

    Raises:
        WeightsError: it is none of these, damaged or cut short; the message names the file.
        LimitExceeded: it has more fields, layers or tensors than any file needs.
        Unavailable: a library is missing that reads it.
        OSError: there is no such file, or it cannot be read.
    """
    path = Path(path)
    with ExitStack() as resources, _naming(path):
        file = _mapped(path, resources)
        form = recognize(file)
        if form == "gzip":
            file = resources.enter_context(unpacked(file))
            form = recognize(file)
            if form == "gzip":
                raise WeightsError("the file is compressed twice; unpack it first")
        opened = _read(path, file, form, resources)
        opened.resources = resources.pop_all()
        return opened


def _mapped(path: Path, resources: ExitStack) -> MappedFile:
    file = MappedFile.open(path)
    resources.callback(file.close)
    return file


def _read(path: Path, file: MappedFile, form: Format, resources: ExitStack) -> WeightsFile:
    match form:
        case "caffemodel":
            layers, net, problems = read_caffemodel(file)
            tensors = tuple(tensor for layer in layers for tensor in layer.tensors)
            return WeightsFile(path, form, tensors, layers, net=net, problems=problems)
        case "binaryproto":
            return _named(path, form, (read_binaryproto(file),))
        case "hdf5":
            from filler_server.weights.hdf5 import read_hdf5

            tensors, layers = read_hdf5(file, resources)
            return WeightsFile(path, form, tensors, layers)
        case "npy":
            return _named(path, form, (read_npy(file),))
        case "npz":
            return _named(path, form, read_npz(file))
        case "torch":
            from filler_server.weights.torch import read_torch

            return _named(path, form, read_torch(file))
        case "index":
            return _sharded(path, file, resources)
        case _:
            found, metadata = read_safetensors(file)
            opened = _named(path, "safetensors", found)
            opened.metadata = metadata
            return opened


def _named(path: Path, form: str, tensors: tuple[StoredTensor, ...]) -> WeightsFile:
    names = [tensor.name for tensor in tensors]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise WeightsError(f"two tensors of the file have one name. Received: name='{twice}'")
    return WeightsFile(path, form, tensors, layers_by_name(tensors))


def _sharded(path: Path, file: MappedFile, resources: ExitStack) -> WeightsFile:
    """Open the shards of an index; the files that it names lie beside it."""
    try:
        places = json.loads(file.read(0, LONGEST_HEADER))["weight_map"]
        shards = sorted(set(places.values()))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise WeightsError(f"the file is no index of shards of safetensors: {str(error)[:200]}") from None
    if len(shards) > _MOST_SHARDS or not all(isinstance(shard, str) for shard in shards):
        raise WeightsError(f"an index names up to {_MOST_SHARDS} files. Received: {len(shards)}")
    tensors: list[StoredTensor] = []
    metadata: dict[str, str] = {}
    for shard in shards:
        if PurePath(shard).name != shard:
            raise WeightsError(f"the shards of an index lie beside it. Received: {shard[:200]!r}")
        try:
            found, more = read_safetensors(_mapped(path.parent / shard, resources))
        except FillerError as error:
            error.within(shard)
            raise
        tensors.extend(tensor for tensor in found if places.get(tensor.name) == shard)
        metadata.update(more)
    missing = places.keys() - {tensor.name for tensor in tensors}
    if missing:
        raise WeightsError(f"{len(missing)} tensors of the index are in none of its files. Received: {min(missing)}")
    opened = _named(path, "safetensors", tuple(tensors))
    opened.metadata = metadata
    return opened


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in which an error lies."""
    try:
        yield
    except FillerError as error:
        error.in_file(path)
        raise
