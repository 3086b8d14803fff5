# ruff: noqa: E501 - a case of the table is a line
"""The work for a small file is bounded in time, and in memory by the size of the file."""

import time
import tracemalloc
from collections.abc import Callable

import pytest

from caffe_filler.errors import FillerError
from filler_server.net.plan import NetPlan
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net

SECONDS = 10


def data(*dims: int) -> str:
    shape = " ".join(f"dim: {dim}" for dim in dims)
    return f'layer {{ name: "d" type: "Input" top: "d" input_param {{ shape {{ {shape} }} }} }}\n'


def one(fields: str, *dims: int) -> str:
    return data(*dims) + f'layer {{ name: "x" bottom: "d" top: "x" {fields} }}\n'


MANY = 4000
HUGE = [
    ("a sum of everything", data(1, 3) + 'layer { name: "c" type: "Concat" top: "c" ' + 'bottom: "d" ' * MANY + "}"),
    ("a slice into very many tops", data(1, MANY) + 'layer { name: "s" type: "Slice" bottom: "d" ' + " ".join(f'top: "t{i}"' for i in range(MANY)) + "}"),
    ("a split into very many tops", data(1, 3) + 'layer { name: "s" type: "Split" bottom: "d" ' + " ".join(f'top: "t{i}"' for i in range(MANY)) + "}"),
    ("very many layers", data(1, 3, 4, 4) + "".join(f'layer {{ name: "l" type: "ReLU" bottom: "d" top: "t{i}" }}\n' for i in range(MANY))),
    ("a chain that works in place", data(1, 3, 4, 4) + 'layer { name: "l" type: "ReLU" bottom: "d" top: "d" }\n' * MANY),
    ("a chain of unknown layers", data(1, 3) + "".join(f'layer {{ name: "l" type: "Magic" bottom: "{"d" if i == 0 else i - 1}" top: "{i}" }}\n' for i in range(1500))),
    ("very long names", data(1, 3) + 'layer { name: "NAME" type: "ReLU" bottom: "NAME" top: "x" }'.replace("NAME", "n" * 100_000)),
    ("very long names in a layer that fails", data(1, 3) + 'layer { name: "NAME" type: "Eltwise" bottom: "d" top: "NAME" }'.replace("NAME", "n" * 100_000)),
    ("very long names of a type and a field", data(1, 3) + 'layer { name: "NAME" type: "NAME" bottom: "d" top: "NAME" permute_param { NAME: 1 } }'.replace("NAME", "n" * 100_000)),
    ("very many unknown types", data(1, 3) + "".join(f'layer {{ name: "l" type: "Magic{i}" bottom: "d" top: "{i}" }}\n' for i in range(MANY))),
    ("very many fields of a fork", one('type: "Permute" permute_param { ' + "".join(f"order{i}: 1 " for i in range(MANY)) + "}", 1, 1)),
    ("everything joined that is unknown", "".join(f'layer {{ name: "l" type: "Magic" top: "{i}" }}\n' for i in range(1000)) + "".join(f'layer {{ name: "c" type: "Concat" bottom: "{i}" bottom: "{i + 1}" top: "c{i}" }}\n' for i in range(999)) + 'layer { name: "a" type: "Concat" top: "a" ' + " ".join(f'bottom: "c{i}"' for i in range(999)) + "}"),
    ("a bottom of a near name", data(1) + "".join(f'layer {{ name: "l" type: "ReLU" bottom: "d" top: "some_top_{i}" }}\n' for i in range(MANY)) + 'layer { name: "x" type: "ReLU" bottom: "some_tip" top: "x" }'),
    ("very many stages", "state { " + 'stage: "a" ' * MANY + "} " + 'layer { name: "x" type: "Input" top: "x" include { ' + 'stage: "a" ' * MANY + "} }"),
    ("rules for very many stages", "state { " + " ".join(f'stage: "s{i}"' for i in range(1000)) + " } " + ('layer { name: "x" type: "Silence" include { ' + 'not_stage: "b" ' * 5 + "} }\n") * 1000),
    ("a reshape of very many axes", one("type: \"Reshape\" reshape_param { shape { " + "dim: 9223372036854775807 " * MANY + "} }", 1, 3)),
    ("an input of very many axes", data(*[2] * MANY)),
    ("blobs of very many axes", one("type: \"ReLU\" blobs { shape { " + "dim: 9223372036854775807 " * MANY + "} }", 1, 3)),
    ("very many outputs", one('type: "InnerProduct" inner_product_param { num_output: 4294967295 }', 1, 3)),
    ("the largest number of outputs", one('type: "InnerProduct" inner_product_param { num_output: 2147483647 bias_term: false }', 1, 1)),
    ("one more", one('type: "InnerProduct" inner_product_param { num_output: 2147483648 bias_term: false }', 1, 1)),
    ("a huge kernel", one('type: "Convolution" convolution_param { num_output: 1 kernel_size: 4294967295 pad: 4294967295 }', 1, 1, 1, 1)),
    ("a huge pyramid", one('type: "SPP" spp_param { pyramid_height: 4294967295 }', 1, 1, 9, 9)),
    ("a tile beyond all bounds", one('type: "Tile" tile_param { tiles: 2147483647 }', 1, 2147483647)),
    ("a flattened giant", one('type: "Flatten"', 1, 46340, 46341)),
    ("very many steps", data(2147483647, 1) + 'layer { name: "x" type: "LSTM" bottom: "d" bottom: "d" top: "x" recurrent_param { num_output: 1 } }'),
    ("very many priors", one('type: "PriorBox" prior_box_param { ' + "min_size: 3 " * MANY + "}", 1, 1, 9999, 9999)),
    ("very many aspect ratios", one('type: "PriorBox" prior_box_param { min_size: 3 ' + "".join(f"aspect_ratio: {i + 2} " for i in range(MANY)) + "}", 1, 1, 9, 9)),
    ("a permutation of very many axes", one('type: "Permute" permute_param { order: [' + ", ".join(map(str, range(MANY))) + "] }", 1, 1)),
    ("a displacement without end", data(1, 1, 2147483647, 1) + 'layer { name: "x" type: "Correlation" bottom: "d" bottom: "d" top: "x" correlation_param { kernel_size: 1 max_displacement: 4294967295 pad: 4294967295 } }'),
    ("an upsampling without end", one('type: "Upsample" upsample_param { scale: 4294967295 }', 1, 1, 9, 9)),
    ("nested blocks of a fork", one('type: "Permute" permute_param ' + "{ a " * 60 + "{ }" + "}" * 60, 1, 1)),
    ("a number of very many digits", one('type: "Permute" permute_param { order: ' + "9" * 100_000 + "}", 1, 1)),
    ("an unknown field of very many values", one('type: "ReLU" magic: [' + ", ".join(["1"] * MANY) + "]", 1, 1)),
    ("very many shared blobs", data(1, 3) + 'layer { name: "i" type: "InnerProduct" bottom: "d" top: "i" param { name: "w" } param { name: "b" } inner_product_param { num_output: 3 } }\n' + "".join(f'layer {{ name: "i" type: "InnerProduct" bottom: "d" top: "i{i}" param {{ name: "w" }} param {{ name: "b" }} inner_product_param {{ num_output: 3 }} }}\n' for i in range(1500))),
]  # fmt: skip


@pytest.mark.parametrize("text", [text for _, text in HUGE], ids=[name for name, _ in HUGE])
def test_what_asks_for_too_much(text: str) -> None:
    source = text.encode()
    tracemalloc.start()
    try:
        before = time.process_time()
        result = attempt(source)
        assert time.process_time() - before < SECONDS
        assert tracemalloc.get_traced_memory()[1] < 10_000_000 + 500 * len(source)
    finally:
        tracemalloc.stop()
    words = [result.message] if isinstance(result, FillerError) else map(str, result.warnings)
    assert all(0 < len(message) < 5000 for message in words)


def attempt(source: bytes) -> NetPlan | FillerError:
    try:
        return plan_net(read_net(source))
    except FillerError as error:
        return error


def test_very_many_declared_shapes(plan: Callable[..., NetPlan]) -> None:
    names = [f"t{index}" for index in range(3000)]
    text = "".join(f'layer {{ name: "l" type: "Input" top: "{name}" }}\n' for name in names)
    before = time.process_time()
    assert len(plan(text, inputs=dict.fromkeys(names, (1, 2)), tops=dict.fromkeys(names, (3, 4))).layers) == 3000
    assert time.process_time() - before < SECONDS
