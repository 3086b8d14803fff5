"""A damaged file gives a plan or an error of ours, and soon."""

import re
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from filler_server.net.plan import NetPlan
from filler_server.net.planner import plan_net
from filler_server.net.registry import layer_type_names
from filler_server.prototxt import read_net
from tests.net.layers.fork_cases import FORK_CASES

MOST_BYTES = 60_000
SECONDS = 5

NUMBERS = ["0", "1", "-1", "2", "3", "7", "1000", "65536", "2147483647", "2147483648", "4294967295", "-2147483648"]
WORDS = [
    *NUMBERS,
    "9223372036854775807",
    "1e30",
    "0.5",
    "nan",
    "inf",
    "true",
    "TRAIN",
    '"data"',
    "{",
    "}",
    "{ }",
    "[1, 2]",
    "bottom",
    "top",
]
FIELDS = [
    *(f"{case[0]}" for case in FORK_CASES),
    *(f'type: "{name}"' for name in layer_type_names()),
    'name: "x"',
    'bottom: "data"',
    'top: "data"',
    "loss_weight: 1",
    'param { name: "w" }',
    'param { name: "w" share_mode: PERMISSIVE }',
    "propagate_down: true",
    "include { phase: TRAIN }",
    "exclude { phase: RUN }",
    "blobs { num: 1 }",
    "blobs { shape { dim: 4294967296 dim: 4294967296 } }",
    "reshape_param { shape { dim: 0 dim: -1 } axis: -3 num_axes: 5 }",
    "slice_param { slice_point: 4294967295 }",
    "convolution_param { num_output: 4294967295 kernel_size: 4294967295 pad: 4294967295 stride: 4294967295 }",
    "pooling_param { global_pooling: true kernel_depth: 3 pad_3d: [1, 2] }",
    "input_param { shape { dim: 2147483647 } shape { } }",
    "spp_param { pyramid_height: 4294967295 }",
    "recurrent_param { num_output: 4294967295 expose_hidden: true }",
    "tile_param { axis: -1 tiles: 2147483647 }",
]  # fmt: skip


@cache
def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and 100 < path.stat().st_size < MOST_BYTES)


def mutate(data: st.DataObject, source: bytes) -> bytes:
    """Change a file in a few places, by its tokens where it is text, else by its bytes."""
    text = source.decode("utf-8", "surrogateescape")
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["number", "word", "field", "drop", "double", "bytes", "cut", "swap"]))
        tokens: Sequence[re.Match[str]] = list(re.finditer(r"[^\s{}:]+", text)) or [re.match("", text)]  # type: ignore[list-item]
        token = tokens[data.draw(st.integers(0, len(tokens) - 1))]
        start, end = token.span()
        if kind == "number":
            numbers = [match for match in tokens if match.group().isdigit()] or tokens
            start, end = numbers[data.draw(st.integers(0, len(numbers) - 1))].span()
            text = text[:start] + data.draw(st.sampled_from(NUMBERS)) + text[end:]
        elif kind == "word":
            text = text[:start] + data.draw(st.sampled_from(WORDS)) + text[end:]
        elif kind == "field":
            places = [match.end() for match in re.finditer(r"layers?\s*\{", text)] or [0]
            place = places[data.draw(st.integers(0, len(places) - 1))]
            text = f"{text[:place]} {data.draw(st.sampled_from(FIELDS))} {text[place:]}"
        elif kind == "drop":
            text = text[:start] + text[end:]
        elif kind == "double":
            other = tokens[data.draw(st.integers(0, len(tokens) - 1))]
            first, last = sorted((start, other.end()))
            text = text[:last] + " " + text[first:last][:5000] + text[last:]
        elif kind == "bytes":
            text = text[:start] + data.draw(st.binary(max_size=4)).decode("latin-1") + text[end:]
        elif kind == "cut":
            text = text[:start]
        else:
            other = tokens[data.draw(st.integers(0, len(tokens) - 1))]
            text = text[:start] + other.group() + text[end:]
    return text.encode("utf-8", "surrogateescape")


def attempt(source: bytes, phase: caffe_pb2.Phase) -> NetPlan | FillerError:
    try:
        return plan_net(read_net(source), phase=phase)
    except FillerError as error:
        return error


def check(source: bytes, phase: caffe_pb2.Phase) -> None:
    before = time.process_time()
    result = attempt(source, phase)
    assert time.process_time() - before < SECONDS
    if isinstance(result, FillerError):
        assert 0 < len(result.message) < 5000
    else:
        assert all(blob.count is None or 0 < blob.count < 1 << 31 for blob in result.blobs)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), phase=st.sampled_from([caffe_pb2.TRAIN, caffe_pb2.TEST]))
def test_mutated_nets_of_ours(nets: Path, data: st.DataObject, phase: caffe_pb2.Phase) -> None:
    source = data.draw(st.sampled_from(files(nets)))
    check(mutate(data, source.read_bytes()), phase)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), phase=st.sampled_from([caffe_pb2.TRAIN, caffe_pb2.TEST]))
def test_mutated_real_files(shared: Path, data: st.DataObject, phase: caffe_pb2.Phase) -> None:
    source = data.draw(st.sampled_from(files(shared / "corpus")))
    check(mutate(data, source.read_bytes()), phase)
