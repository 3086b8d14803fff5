"""Digests of a manifest's tensors as a client computes them, from what the manifest says of their origin."""

from collections.abc import Collection, Iterable
from math import prod
from typing import TYPE_CHECKING, Any, cast

from caffe_filler import dtypes
from caffe_filler.caffe.caffe_pb2 import BlobShape
from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.interface import option_name
from caffe_filler.v1 import filler_pb2
from filler_client import _requests
from filler_client._manifests import CONTRACT, net_sha256
from filler_client._requests import NetLike

if TYPE_CHECKING:
    from filler_client._client import FillerClient
    from filler_server.digests import Blob, Digest, Entry, Fill, Manifest

_OPTIONS = ("inputs", "tops", "fillers", "lenient", "data_draws")


def recomputed(
    client: "FillerClient", manifest: "Manifest", names: Collection[str], net: NetLike | None
) -> "dict[str, Digest]":
    """Return the digests of those of some tensors that were filled; of others nothing is known.

    Args:
        client: computes them.
        manifest: says how they were filled.
        names: the tensors.
        net: the net that they were filled for. Without it blobs are asked for one by one, which Caffe's random numbers
            do not allow.

    Raises:
        InvalidArgument: the manifest does not say how, it needs a net, or is of another one.
        FillerError: the client cannot compute them.
    """
    fill = manifest.fill
    if fill is None:
        raise InvalidArgument("the manifest does not say how the values were filled, so that nobody can compute them")
    if fill.contract != CONTRACT:
        raise InvalidArgument(
            f"random numbers are known of contract {CONTRACT}. Received: a manifest with contract={fill.contract}"
        )
    filled = {name: entry for name in names if _is_filled(name, entry := manifest.tensors[name], fill, net)}
    if not filled:
        return {}
    request = _blobs_request(fill, filled.values()) if net is None else _net_request(fill, filled.values(), net)
    found = {entry.header.name: entry.digest for entry in client.digests(request)}
    return {name: found[_blob(entry).name] for name, entry in filled.items()}


def _is_filled(name: str, entry: "Entry", fill: "Fill", net: NetLike | None) -> bool:
    if entry.blob is None or entry.dtype != fill.dtype or (net is None and entry.filler is None):
        return False
    # What is asked for is not more than the file has.
    if prod(entry.blob.shape) != prod(entry.shape):
        raise InvalidArgument(
            f"tensor '{name}': the manifest contradicts itself. "
            f"Received: shape={list(entry.shape)} of a blob of {list(entry.blob.shape)}"
        )
    return True


def _blob(entry: "Entry") -> "Blob":
    return cast("Blob", entry.blob)


def _blobs_request(fill: "Fill", entries: "Iterable[Entry]") -> filler_pb2.FillRequest:
    if fill.stream != "philox":
        raise InvalidArgument(
            f"Caffe's random numbers run through a whole net, and {option_name('net')} names it. "
            f"Received: stream={fill.stream}",
            field="net",
        )
    request = filler_pb2.FillRequest(seed=_requests.check_seed(fill.seed), dtype=dtypes.to_wire(fill.dtype))
    known: dict[str, Entry] = {}
    for entry in entries:
        known.setdefault(_blob(entry).name, entry)
    for blob, entry in known.items():
        request.blobs.add(
            name=blob,
            shape=BlobShape(dim=_blob(entry).shape),
            filler=_requests.filler_parameter(entry.filler or ""),
        )
    return request


def _net_request(fill: "Fill", entries: "Iterable[Entry]", net: NetLike) -> filler_pb2.FillNetRequest:
    source = _requests.net_bytes(net)
    if net_sha256(source) != fill.net_sha256:
        raise InvalidArgument(
            f"the manifest is of a net of SHA-256 {fill.net_sha256[:64]}. Received: a net of {net_sha256(source)}",
            field="net",
        )
    if "before" in fill.options:
        raise InvalidArgument(
            "the values depend on the nets that drew before this one, which a manifest names by their SHA-256 alone"
        )
    unknown = [name for name in fill.options if name not in _OPTIONS]
    if unknown:
        raise InvalidArgument(f"the manifest has an option that is not known here. Received: {unknown[0][:80]}")
    options: Any = {
        **fill.options,
        "phase": fill.phase,
        "level": fill.level,
        "stages": fill.stages,
        "seed": fill.seed,
        "stream": fill.stream,
        "dtype": fill.dtype,
        "blobs": dict.fromkeys(_blob(entry).name for entry in entries),
    }
    try:
        return _requests.fill_net_request(source, **options)
    except (TypeError, AttributeError, ValueError) as error:
        if isinstance(error, FillerError):
            raise
        raise InvalidArgument(f"the manifest has an option of another type: {error}") from None
