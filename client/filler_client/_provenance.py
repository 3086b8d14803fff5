"""Origin of an exported model: names and SHA-256 of the files, and what the net asks for of images."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from filler_client._requests import NetLike, net_bytes

if TYPE_CHECKING:
    from filler_server.net.plan import NetPlan

_DISTRIBUTION = "caffe-filler"


def provenance(net: NetLike, weights: Sequence[Path], plan: "NetPlan") -> Callable[[], Mapping[str, str]]:
    """Return a function that tells where a model comes from; the files are read in the meantime.

    Keys are `caffe.net` and `caffe.weights` with the names of the files, those with `.sha256` after them with their
    SHA-256, `caffe.transform_param` with what the net asks for of images, as JSON by the tops of its data layers, and
    `producer`.

    Args:
        net: the net as it was given.
        weights: files of weights.
        plan: the net.
    """
    pool = ThreadPoolExecutor(1)
    digests = [pool.submit(digest, path) for path in weights]
    pool.shutdown(wait=False)

    def tell() -> dict[str, str]:
        told = {"producer": library()}
        if isinstance(net, os.PathLike):
            told["caffe.net"] = Path(net).name
        told["caffe.net.sha256"] = _net_digest(net)
        if weights:
            told["caffe.weights"] = ", ".join(path.name for path in weights)
            told["caffe.weights.sha256"] = ", ".join(found.result() for found in digests)
        images = _images(plan)
        return told if images is None else {**told, "caffe.transform_param": images}

    return tell


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _net_digest(net: NetLike) -> str:
    if isinstance(net, os.PathLike):
        return digest(Path(net))
    return hashlib.sha256(net_bytes(net)).hexdigest()


def _images(plan: "NetPlan") -> str | None:
    from filler_server.models.image_sources import image_sources

    found = {source.top: source.as_dict() for source in image_sources(plan)}
    return json.dumps(found, sort_keys=True) if any(found.values()) else None


def library() -> str:
    """Return name and version of this distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{_DISTRIBUTION} {version(_DISTRIBUTION)}"
    except PackageNotFoundError:  # pragma: no cover - run from the sources without being installed
        return f"{_DISTRIBUTION} (not installed)"
