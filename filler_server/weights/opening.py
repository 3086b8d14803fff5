"""Any file of weights, opened by its content: names mislead, and many files have no ending."""

from contextlib import ExitStack
from pathlib import Path

from caffe_filler.errors import FillerError, ShapeError, WeightsError
from caffe_filler.shapes import check_array_shape
from caffe_filler.signatures import GZIP, LOOKED_AT, ZIP, foreign
from filler_server.weights.compressed import unpacked
from filler_server.weights.file import WeightsFile, layers_by_name
from filler_server.weights.format import Format
from filler_server.weights.formats import FORMATS
from filler_server.weights.mapped import MappedFile
from filler_server.weights.message import NET_FIELDS, is_text, outermost, solver_state


def open_weights(path: str | Path) -> WeightsFile:
    """Open a file of weights of any format that is known, whatever it is called.

    .caffemodel of any age, .binaryproto, Caffe's HDF5, .npz, .npy, .safetensors (also its .index.json), files of
    PyTorch, prototxt with values in it; each also compressed by gzip. Only what describes the tensors is read, but for
    text, which is read as a whole.

    Raises:
        WeightsError: it is none of these, damaged or cut short; the message names the file.
        LimitExceeded: it has more fields, layers or tensors than any file needs.
        Unavailable: a library is missing that reads it.
        OSError: there is no such file, or it cannot be read.
    """
    path = Path(path)
    with ExitStack() as resources:
        try:
            file = MappedFile.open(path)
            resources.callback(file.close)
            if file.starts_with(GZIP):
                file = resources.enter_context(unpacked(file))
                if file.starts_with(GZIP):
                    raise WeightsError("the file is compressed twice; unpack it first")
            return _opened(path, file, resources)
        except FillerError as error:
            raise error.in_file(path) from None


def recognize(file: MappedFile) -> Format:
    """Return the format of a file.

    Raises:
        WeightsError: it is none of weights; the message says what it is, where that can be told.
    """
    # Binary messages have no signature, and are told by what other files may have by chance.
    for known in sorted(FORMATS, key=lambda known: not known.has_signature):
        if known.recognizes(file):
            return known
    raise _refusal(file)


def _opened(path: Path, file: MappedFile, resources: ExitStack) -> WeightsFile:
    known = recognize(file)
    found = known.read(file, path, resources)
    names = [tensor.name for tensor in found.tensors]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise WeightsError(f"two tensors of the file have one name. Received: name='{twice}'")
    for tensor in found.tensors:
        try:
            check_array_shape(tensor.shape)
        except ShapeError as error:
            raise WeightsError(f"tensor '{tensor.name}': {error}") from None
    return WeightsFile(
        path,
        known.name,
        found.tensors,
        layers_by_name(found.tensors) if found.layers is None else found.layers,
        net=found.net,
        text=found.text,
        metadata=found.metadata,
        problems=found.problems,
        resources=resources.pop_all(),
    )


def _refusal(file: MappedFile) -> WeightsError:
    start = file.read(0, LOOKED_AT)
    what = foreign(start)
    if what is None and start.startswith(ZIP):
        what = "a zip archive without arrays of NumPy or tensors of PyTorch; unpack it first"
    if what is None and is_text(start):
        what = "text, such as the prototxt of a net, which has no trained weights in it"
    if what is None:
        found = outermost(file)
        if found.learned_net is not None:
            return WeightsError(solver_state(found.learned_net))
        if found.damage is not None and found.fields and found.fields <= NET_FIELDS:
            return found.damage
        what = "none of weights that is known here: no .caffemodel, HDF5, npz, safetensors or torch file"
    return WeightsError(f"the file is {what}. Received: {start[:24]!r}")
