"""Files of weights: opened, written, converted, compared and looked at, all in this process."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, Unpack

from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.dtypes import DTypeLike
from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option_name
from filler_client import _requests
from filler_client._content import Names
from filler_client._finetune import local_plan
from filler_client._manifests import manifest_path, plain_draft, write_manifest
from filler_client._options import takes_options
from filler_client._requests import NetLike, NetOptions

if TYPE_CHECKING:
    from filler_server.net.plan import NetPlan
    from filler_server.tensors import Advance, Tensor
    from filler_server.weights.comparison import Comparison
    from filler_server.weights.file import WeightsFile
    from filler_server.weights.saving import Saved
    from filler_server.weights.statistics import Statistics

PathLikeStr: TypeAlias = str | PathLike[str]
TensorsLike: TypeAlias = "Mapping[str, NDArray[Any]] | Sequence[Tensor]"
"""Arrays by their names, or tensors."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


def open_weights(path: PathLikeStr) -> "WeightsFile":
    """Open a file of weights of any format that is known, whatever it is called; a context manager.

    Only what describes the tensors is read: a .caffemodel of any age, .binaryproto, Caffe's HDF5, .npz, .npy,
    .safetensors or its index, a file of PyTorch, prototxt with values in it; each also compressed by gzip.

    Raises:
        WeightsError: it is none of these, damaged or cut short.
        LimitExceeded: it has more fields, layers or tensors than any file needs.
        Unavailable: a library is missing that reads it.
        OSError: there is no such file, or it cannot be read.

    Example:
        with open_weights("lenet_iter_10000.caffemodel") as weights:
            conv1 = weights["conv1/0"].array()
    """
    from filler_server.weights.opening import open_weights

    return open_weights(fspath(path))


def save_weights(
    tensors: TensorsLike,
    path: PathLikeStr | BinaryIO,
    *,
    metadata: Mapping[str, str] = _NOTHING,
    net: NetLike | None = None,
    max_shard_bytes: int | None = None,
    advance: "Advance | None" = None,
) -> "Saved":
    """Write tensors to a file whose format is that of its name's ending; to an open file it is .npy.

    Memory does not grow with the tensors, and the file appears when it is complete.

    Args:
        tensors: arrays by their names; or tensors, each of which is read once.
        path: where to: .caffemodel, .prototxt, .h5, .npz, .npy, .safetensors, .pt or .binaryproto.
        metadata: is written where the format has room for it.
        net: what a .caffemodel or .prototxt describes; its tensors are called `<layer>/<blob index>`.
        max_shard_bytes: a .safetensors that would hold more is written as several files with an index.
        advance: is told the bytes of each step and the tensor that they belong to.

    Raises:
        InvalidArgument: no format has this ending, or the format cannot hold the tensors.
        FillerError: the net cannot be read, or the values of a tensor cannot be had.
        OSError: a file cannot be read or written.
    """
    from filler_server.layouts.layers import beyond_definitions, definitions
    from filler_server.tensors import ArrayTensor
    from filler_server.weights.saving import format_of, save

    plan = None if net is None else local_plan(_requests.plan_request(net))
    given = tensors if not isinstance(tensors, Mapping) else [ArrayTensor(*entry) for entry in tensors.items()]
    target = Path(path) if isinstance(path, str | PathLike) else path
    saved = save(
        given,
        target,
        metadata=metadata,
        net=None if plan is None else definitions(plan.name, plan.layers),
        max_shard_bytes=max_shard_bytes,
        advance=advance,
    )
    if plan is None or not isinstance(target, Path) or not format_of(target).needs_net:
        return saved
    return replace(saved, notes=(*saved.notes, *beyond_definitions(plan.layers)))


@takes_options(NetOptions)
def convert(
    source: "PathLikeStr | WeightsFile",
    target: PathLikeStr,
    *,
    names: Names = "caffe",
    dtype: DTypeLike | None = None,
    net: NetLike | None = None,
    reshape: bool = False,
    max_shard_bytes: int | None = None,
    manifest: PathLikeStr | None = None,
    advance: "Advance | None" = None,
    **options: Unpack[NetOptions],
) -> "Saved":
    """Write the weights of a file to another one, in the format of its name's ending.

    Memory does not grow with the file, and the target appears when it is complete. Legacy shapes of four axes become
    those of today where the new format cannot mark them and the type of the layer tells.

    Args:
        source: a file of any format that `open_weights` reads, or one that is open.
        target: where to.
        names: how tensors are called: caffe, `<layer>/<blob index>`; or torch, as the state_dict of matching modules
            has them: BatchNorm with `running_mean` and `running_var`, and with weight and bias of the Scale after it.
        dtype: of the new file; None keeps what each tensor has.
        net: the net of the weights: prototxt, or a .caffemodel. Every blob of it must be in the source, in its shape; a
            state_dict becomes its blobs, shared blobs are written once for each layer. None: the net that the source
            itself describes, if it does.
        reshape: whether a tensor whose axes are joined or split otherwise is taken for a blob of the net.
        max_shard_bytes: a .safetensors that would hold more is written as several files with an index.
        manifest: where to write the manifest, a .json: the digest of each tensor. A .safetensors has it in its
            metadata in any case.
        advance: is told the bytes of each step and the tensor that they belong to.
        options: those of `NetOptions`, for a net in prototxt.

    Returns:
        What was written, and what a user of the file should know.

    Raises:
        InvalidArgument: source and net do not fit, or the format cannot hold the tensors; or there are options for a
            net and none is given.
        FillerError: a file or the net cannot be read.
        OSError: a file cannot be read or written.
    """
    from filler_server.digests.manifest import KEY
    from filler_server.weights.conversion import plan_conversion
    from filler_server.weights.saving import format_of, save

    path, beside = Path(target), manifest_path(manifest)
    if net is None and (reshape or options):
        given = ", ".join(option_name(name) for name in (*(["reshape"] if reshape else []), *options))
        raise InvalidArgument(f"they go with {option_name('net')}. Received: {given}", field="net")
    with ExitStack() as files:
        weights = _opened(source, files)
        described = None if net is None else _net_of_weights(net, files, options)
        conversion = plan_conversion(
            weights,
            path,
            names=names,
            dtype=None if dtype is None else dtypes.parse(dtype),
            net=described,
            reshape=reshape,
        )
        metadata = {**weights.metadata, "producer": "caffe-filler"}
        metadata.pop(KEY, None)
        if names == "torch":
            metadata["format"] = "pt"
        if beside is not None:
            # What is not written whole must not have the manifest of what was there before.
            beside.unlink(missing_ok=True)
        saved = save(
            conversion.tensors,
            path,
            metadata=metadata,
            net=conversion.net,
            max_shard_bytes=max_shard_bytes,
            draft=plain_draft() if beside is not None or format_of(path).name == "safetensors" else None,
            advance=advance,
        )
    if beside is not None and saved.manifest is not None:
        write_manifest(beside, saved.manifest)
    return replace(saved, notes=(*conversion.notes, *saved.notes))


def diff(
    first: "PathLikeStr | WeightsFile",
    second: "PathLikeStr | WeightsFile",
    *,
    atol: float = 0.0,
    advance: "Advance | None" = None,
) -> "list[Comparison]":
    """Compare two files of weights tensor by tensor, of any formats.

    Args:
        first: the file A, of any format that `open_weights` reads, or one that is open.
        second: the file B, likewise.
        atol: absolute differences up to this one do not count.
        advance: is told the bytes of A that are done.

    Returns:
        How the tensors differ: those of A in its order, then those that only B has.

    Raises:
        FillerError: a file cannot be read.
        OSError: likewise.
    """
    from filler_server.weights.comparison import compare

    with ExitStack() as files:
        one, two = (_opened(file, files) for file in (first, second))
        return list(compare(one.tensors, two.tensors, atol=atol, advance=advance))


@dataclass(frozen=True, slots=True)
class Inspected:
    """A file of weights that has been looked at.

    Attributes:
        file: the file, closed: its tensors and what it says of itself.
        statistics: figures of each tensor, in the order of the file; none where no value was read.
    """

    file: "WeightsFile"
    statistics: "tuple[Statistics, ...]"

    def __repr__(self) -> str:
        return f"Inspected({self.file!r}, statistics of {len(self.statistics)})"


def inspect(path: "PathLikeStr | WeightsFile", *, values: bool = True, advance: "Advance | None" = None) -> Inspected:
    """Return what is in a file of weights: shape, dtype, mean, std, minimum, maximum, zeros and SHA-256 of each tensor.

    Args:
        path: a file of any format that `open_weights` reads, or one that is open.
        values: whether values are read; without it there are no statistics.
        advance: is told the bytes that are done.

    Raises:
        FillerError: the file cannot be read.
        OSError: likewise.
    """
    from filler_server.weights.statistics import statistics

    with ExitStack() as files:
        file = _opened(path, files)
        found = tuple(statistics(tensor, advance) for tensor in file.tensors) if values else ()
    return Inspected(file, found)


def _opened(file: "PathLikeStr | WeightsFile", files: ExitStack) -> "WeightsFile":
    """Return a file that is open, or is open as long as the stack."""
    from filler_server.weights.file import WeightsFile

    return file if isinstance(file, WeightsFile) else files.enter_context(open_weights(file))


def _net_of_weights(net: NetLike, files: ExitStack, options: NetOptions) -> "NetPlan | WeightsFile":
    """Return a file that has the net and its blobs, or the plan of a net without them.

    Raises:
        FillerError: it cannot be read or set up.
        OSError: it cannot be read.
    """
    from caffe_filler.errors import FillerError, WeightsError

    if isinstance(net, PathLike):
        try:
            weights = files.enter_context(open_weights(net))
        except WeightsError:
            # Then it is a net without values, or something of which the reader of nets tells better what it is.
            weights = None
        if weights is not None and weights.net is not None:
            if weights.tensors and weights.format == "caffemodel":
                return weights
            # A net in text is planned, values in it or not; of others only the net is of use.
            net = net if weights.format == "prototxt" else weights.net
    try:
        return local_plan(_requests.plan_request(net, **options))
    except FillerError as error:
        raise error.in_file(net) if isinstance(net, PathLike) else error from None
