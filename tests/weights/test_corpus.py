"""Weights that real Caffe wrote: read as protobuf reads them, to each format and back."""

from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import BlobProto, NetParameter
from filler_server.weights.conversion import plan_conversion, write_conversion
from filler_server.weights.opening import open_weights
from filler_server.weights.statistics import statistics

LAYER_FIELDS = ("layers", "layer")


def stored(path: Path) -> list[bytes]:
    """The values of a file as protobuf reads them."""
    if path.suffix == ".binaryproto":
        return [np.array(BlobProto.FromString(path.read_bytes()).data, np.float32).tobytes()]
    net = NetParameter.FromString(path.read_bytes())
    blobs = [
        blob
        for field in LAYER_FIELDS
        for layer in getattr(net, field)
        for blob in (*layer.blobs, *(layer.layer.blobs if field == "layers" else ()))
    ]
    return [np.array(blob.data, np.float32).tobytes() for blob in blobs]


def values(path: Path) -> dict[str, tuple[Any, ...]]:
    with open_weights(path) as weights:
        return {
            tensor.name: (tensor.shape, tensor.dtype, tensor.array().tobytes(), statistics(tensor).sha256)
            for tensor in weights.tensors
        }


def convert(source: Path, target: Path, described: Path | None = None) -> None:
    with open_weights(source) as weights, ExitStack() as files:
        net = None if described is None else files.enter_context(open_weights(described))
        write_conversion(plan_conversion(weights, target, net=net), target, metadata={})


def test_real_weights_there_and_back(shared: Path, tmp_path: Path) -> None:
    files = [
        *shared.glob("corpus/*/*.caffemodel"),
        *shared.glob("corpus/*/*.binaryproto"),
        *shared.glob("golden/upgrade/binary_*.caffemodel"),
    ]
    assert len(files) == 15
    endings = ["h5", "npz", "safetensors", *(["pt"] if find_spec("torch") else [])]
    for path in files:
        original = values(path)
        assert [value[2] for value in original.values()] == stored(path), path
        with open_weights(path) as weights:
            net = weights.net
        own = "binaryproto" if net is None else "caffemodel"
        convert(path, tmp_path / f"again.{own}")
        assert values(tmp_path / f"again.{own}") == original, path
        # Where the format cannot mark legacy shapes they become those of today.
        contents = {name: value[1:] for name, value in original.items()}
        for ending in endings:
            target, back = tmp_path / f"w.{ending}", tmp_path / f"back.{own}"
            convert(path, target)
            assert {name: value[1:] for name, value in values(target).items()} == contents, (path, ending)
            convert(target, back, None if net is None else path)
            assert {name: value[1:] for name, value in values(back).items()} == contents, (path, ending)
