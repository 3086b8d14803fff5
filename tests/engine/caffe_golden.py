"""Computes tests/golden/caffe_nets_v1.json, frozen weights of the project's own nets over the caffe stream.

What a change of the code changes in them:

    python -m tests.engine.caffe_golden | diff tests/golden/caffe_nets_v1.json -

The same code gives the bytes and the draws of real Caffe for every net that was recorded from it.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from caffe_filler.caffe import caffe_pb2
from filler_server.engine.caffe_net import CaffeNet
from filler_server.engine.computed import ComputedTensor
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net
from filler_server.rng.caffe.mt19937 import EngineState

NETS = Path(__file__).resolve().parents[1] / "nets"
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)

MNIST = {"data": (64, 1, 28, 28), "label": (64,)}

TRAIN, TEST = caffe_pb2.TRAIN, caffe_pb2.TEST

RUNS: dict[str, list[tuple[str, caffe_pb2.Phase, dict[str, Any], Any]]] = {
    # The nets of a solver, in its order: train net, then test nets, from one engine.
    "lenet solver": [("lenet_train_test", TRAIN, MNIST, F32), ("lenet_train_test", TEST, MNIST, F32)],
    "sparse": [("mnist_autoencoder", TRAIN, {"data": (100, 1, 28, 28)}, F32)],
    "shared": [("shared_three_ways", TEST, {}, F32)],
    "siamese": [("siamese_mnist", TRAIN, {"pair_data": (64, 2, 28, 28)}, F32)],
    "inline blobs": [("inline_blobs", TEST, {}, F32)],
    "rnn": [("char_rnn", TEST, {}, F32)],
    "lstm": [("lrcn_caption", TRAIN, {}, F32)],
    "static lstm": [("crnn_static_lstm", TRAIN, {}, F32)],
    "crop and mirror": [("squeezenet_v1_1_train_val", TRAIN, {"data": (32, 3, 227, 227)}, F32)],
    "double": [("cifar10_quick_train_test", TRAIN, {"data": (100, 3, 32, 32)}, F64)],
}


def run(name: str, seed: int = 1701) -> list[CaffeNet]:
    """The nets of a run, one after the other from the same engine."""
    nets: list[CaffeNet] = []
    for file, phase, inputs, dtype in RUNS[name]:
        document = read_net((NETS / f"{file}.prototxt").read_bytes())
        tops = {top for layer in document.net.layer for top in layer.top}
        plan = plan_net(
            document,
            phase=phase,
            inputs={top: shape for top, shape in inputs.items() if top in tops},
        )
        start = nets[-1].end_state if nets else EngineState.seeded(seed)
        nets.append(CaffeNet(plan, start, dtype=dtype))
    return nets


def digest(tensor: ComputedTensor, window: int = 1 << 18) -> str:
    """The SHA-256 of a tensor's bytes, little endian."""
    found = hashlib.sha256()
    values: Any = np.empty(min(window, tensor.count), tensor.dtype)
    for start in range(0, tensor.count, window):
        part = values[: tensor.count - start]
        tensor.read(start, part)
        found.update(part.astype(part.dtype.newbyteorder("<"), copy=False))
    return found.hexdigest()


def frozen(nets: Iterable[CaffeNet]) -> list[dict[str, Any]]:
    """Weights and draws of nets."""
    return [
        {
            "blobs": {tensor.name: digest(tensor) for tensor in net.tensors()},
            "draws": {layer.name: draws for layer, draws in net.layer_draws() if draws},
            "rng_next": int(net.end_state().outputs(1)[0]),
        }
        for net in nets
    ]


if __name__ == "__main__":
    what = "weights of the project's nets over the caffe stream, random_seed 1701"
    print(json.dumps({"what": what, "runs": {name: frozen(run(name)) for name in RUNS}}, indent=1))
