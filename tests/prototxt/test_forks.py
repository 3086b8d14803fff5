"""The table of forks' fields."""

import struct

import pytest

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.fork_wire import fork_values
from filler_server.prototxt.forks import BLOCKS, ForkField, fork_field

LAYER = caffe_pb2.LayerParameter.DESCRIPTOR
VARINT, BYTES, FIXED32 = 0, 2, 5


def test_a_number_that_bvlc_has_never_tells_a_block() -> None:
    for name, block in BLOCKS.items():
        assert name not in LAYER.fields_by_name
        assert not block.own_numbers & set(LAYER.fields_by_number)
        assert bool(block.own_numbers) == bool(block.layers) == bool(block.numbers), name


def test_a_number_tells_one_block_of_a_layer_type() -> None:
    taken = [(layer, number) for block in BLOCKS.values() for layer in block.layers for number in block.own_numbers]
    assert len(set(taken)) == len(taken)


def test_fields_by_number() -> None:
    found = fork_field("LayerParameter", "Permute", 202, BYTES)
    assert found is not None
    assert found.name == "permute_param"
    assert fork_field("LayerParameter", "Permute", 202, VARINT) is None
    assert fork_field("LayerParameter", "PriorBox", 202, BYTES) is None
    assert fork_field("LayerParameter", "", 202, BYTES) is None
    assert fork_field("BatchNormParameter", "BatchNorm", 7, VARINT) == ForkField("scale_bias", "bool")
    assert fork_field("BatchNormParameter", "BatchNorm", 7, BYTES) is None


@pytest.mark.parametrize(
    ("kind", "wire_type", "data", "values"),
    [
        ("integer", VARINT, 7, ["7"]),
        ("integer", VARINT, (1 << 64) - 3, ["-3"]),
        ("bool", VARINT, 1, ["true"]),
        ("bool", VARINT, 0, ["false"]),
        ("word", VARINT, 2, ["2"]),
        ("word", BYTES, b"\xc3\xa9\xff", ["\u00e9\ufffd"]),
        ("real", FIXED32, struct.unpack("<I", struct.pack("<f", 0.5))[0], ["0.5"]),
        ("real", VARINT, 30, ["30"]),
        ("filler", BYTES, b"", [{}]),
        ("filler", BYTES, b"\x0a", []),
        ("filler", VARINT, 1, []),
        ("integer", FIXED32, 1, []),
        ("integer", BYTES, b"", []),
        ("real", BYTES, b"", []),
        ("real", 1, 1, []),
    ],
)
def test_values(kind: str, wire_type: int, data: int | bytes, values: list[object]) -> None:
    assert fork_values(ForkField("f", kind), wire_type, data) == values  # type: ignore[arg-type]
