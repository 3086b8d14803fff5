"""Rules against nets that are run: the mean squares of the tops of the reference evaluator, over some seeds."""

from statistics import fmean

import numpy as np
import pytest

import filler_client
from filler_client import FillerClient

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [16, 8, 12, 12] } } }\n'
CONV = """layer {{ name: "{0}" type: "{3}" bottom: "{1}" top: "{0}"
  convolution_param {{ num_output: 64 kernel_size: 3 {2} weight_filler {{ type: "msra" }} }} }}
"""
SEEDS = 3

BOUNDS = {"maximum": 0.2, "average": 0.2}
"""Differences of mean squares where windows overlap, and windows of these: their common part is an estimate."""


def layer(kind: str, name: str, bottoms: str, fields: str = "") -> str:
    listed = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {listed} top: "{name}" {fields} }}\n'


def conv(name: str, bottom: str, fields: str = "", kind: str = "Convolution") -> str:
    return CONV.format(name, bottom, fields, kind)


NETS = {
    "padding and stride": conv("a", "data", "pad: 1 stride: 2") + layer("ReLU", "r", "a") + conv("b", "r", "pad: 2"),
    "groups": conv("a", "data", "group: 4 pad: 1") + layer("ReLU", "r", "a") + conv("b", "r", "group: 64"),
    "maximum": conv("a", "data")
    + layer("Pooling", "p", "a", "pooling_param { kernel_size: 3 stride: 2 }")
    + layer("ReLU", "r", "p")
    + layer("Pooling", "q", "r", "pooling_param { kernel_size: 2 stride: 2 }"),
    "average": conv("a", "data")
    + layer("ReLU", "r", "a")
    + layer("Pooling", "p", "r", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }")
    + conv("b", "p")
    + layer("Pooling", "q", "b", "pooling_param { pool: AVE global_pooling: true }"),
    "LRN": conv("a", "data")
    + layer("LRN", "n", "a", "lrn_param { local_size: 5 alpha: 2 beta: 0.75 }")
    + layer("LRN", "m", "a", "lrn_param { local_size: 3 alpha: 1 beta: 0.5 norm_region: WITHIN_CHANNEL }"),
    "deconvolution": layer("ReLU", "r", "data") + conv("a", "r", "stride: 2 pad: 1", "Deconvolution"),
    "concat": conv("a", "data", "pad: 1") + layer("ReLU", "r", "a") + layer("Concat", "c", "r data") + conv("b", "c"),
    "eltwise": conv("a", "data")
    + conv("b", "data")
    + layer("Eltwise", "s", "a b", "eltwise_param { coeff: 0.5 coeff: -2 }")
    + layer("Eltwise", "p", "a b", "eltwise_param { operation: PROD }")
    + layer("Eltwise", "m", "a b", "eltwise_param { operation: MAX }")
    + layer("Eltwise", "t", "a a"),
    "activations": conv("a", "data")
    + layer("ELU", "e", "a")
    + layer("ReLU", "l", "a", "relu_param { negative_slope: 0.1 }")
    + layer("PReLU", "p", "a")
    + layer("AbsVal", "v", "a")
    + layer("BNLL", "n", "a")
    + layer("Sigmoid", "s", "a")
    + layer("TanH", "t", "a")
    + layer("Power", "q", "a", "power_param { power: 2 scale: 0.5 shift: 1 }")
    + layer("Exp", "x", "a", "exp_param { scale: 0.3 }"),
    "normalizations": conv("a", "data", 'bias_filler { type: "gaussian" std: 1 }')
    + layer("BatchNorm", "b", "a")
    + layer("MVN", "m", "a")
    + layer("Scale", "s", "a", 'scale_param { filler { type: "uniform" min: 0.5 max: 2 } bias_term: true }')
    + layer("Bias", "i", "s", 'bias_param { filler { type: "constant" value: -1 } }')
    + layer("Softmax", "p", "b"),
    "resizing": conv("a", "data")
    + layer("ReLU", "r", "a")
    + layer("Interp", "i", "r", "interp_param { height: 23 width: 15 }")
    + layer("Upsample", "u", "r", "upsample_param { scale: 2 }")
    + conv("b", "u")
    + conv("c", "i"),
    "reductions": conv("a", "data")
    + layer("ReLU", "r", "a")
    + layer("Reduction", "s", "r", "reduction_param { axis: 1 coeff: 0.5 }")
    + layer("Reduction", "m", "r", "reduction_param { operation: MEAN axis: 2 }")
    + layer("Reduction", "b", "a", "reduction_param { operation: ASUM axis: 1 }")
    + layer("Reduction", "q", "a", "reduction_param { operation: SUMSQ axis: 1 }")
    + layer("ArgMax", "x", "a", "argmax_param { axis: 1 }"),
    "forks": conv("a", "data")
    + conv("b", "data")
    + layer("Pooling", "f", "b", "pooling_param { pool: AVE global_pooling: true }")
    + layer("Sigmoid", "g", "f")
    + layer("Axpy", "x", "g a b")
    + layer("Reorg", "o", "a", "reorg_param { stride: 2 }")
    + layer("CCCP", "c", "a", 'cccp_param { num_output: 16 group: 2 weight_filler { type: "msra" } }'),
    "weights of another mean": layer("AbsVal", "v", "data")
    + layer(
        "InnerProduct",
        "i",
        "v",
        'inner_product_param { num_output: 200 weight_filler { type: "uniform" min: 0 max: 0.01 } '
        'bias_filler { type: "constant" value: 0.5 } }',
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_mean_squares_are_those_of_a_run(name: str) -> None:
    net, client = INPUT + NETS[name], FillerClient.embedded()
    report = client.signal(net)
    tops = [value.top for value in report.values[1:]]
    found: dict[str, list[np.ndarray]] = {top: [] for top in tops}
    for seed in range(SEEDS):
        weights = client.init_net(net, seed=seed)
        inputs = {"data": np.random.default_rng(seed).standard_normal((16, 8, 12, 12))}
        run = filler_client.run(net, weights or None, inputs, tops, "TRAIN")
        for top in tops:
            found[top].append(run[top])
    for value in report.values[1:]:
        arrays = found[value.top]
        measured = fmean(float(np.square(array, dtype=float).mean()) for array in arrays)
        assert value.mean_square == pytest.approx(measured, rel=BOUNDS.get(name, 0.1)), value.top
        mean = fmean(float(array.mean(dtype=float)) for array in arrays)
        assert value.mean == pytest.approx(mean, abs=0.12 * measured**0.5), value.top
        zeros = fmean(float((array == 0).mean()) for array in arrays)
        assert value.zeros == pytest.approx(zeros, abs=0.08), value.top
