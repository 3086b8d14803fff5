import ml_dtypes
import numpy as np
import pytest
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError
from caffe_filler.filler_types import CAFFE_FILLERS
from caffe_filler.v1 import filler_pb2
from filler_server.api.replies import _encoded_header, blob_header, encoded_header, list_fillers
from filler_server.engine.region import Region
from filler_server.fillers import factory, get_filler, register
from tests.flat_index import FlatIndexFiller, flat_index_blob

Header = filler_pb2.BlobHeader


@pytest.mark.parametrize(
    ("region", "message", "count"),
    [
        (Region.whole((4, 5)), None, 20),
        (Region.box((4, 5), [(0, 4), (0, 5)]), None, 20),
        (
            Region.box((4, 5), [(1, 3), (0, 5)]),
            {"box": {"axes": [{"start": 1, "stop": 3}, {"start": 0, "stop": 5}]}},
            10,
        ),
        (Region.flat((4, 5), 3, 9), {"flat": {"start": 3, "stop": 9}}, 6),
        (Region.flat((4, 5), 0, None), {"flat": {"start": 0, "stop": 20}}, 20),
        (Region.flat((4, 5), 20, None), {"flat": {"start": 20, "stop": 20}}, 0),
    ],
)
def test_headers(region: Region, message: dict[str, object] | None, count: int) -> None:
    source = flat_index_blob((4, 5), region, ml_dtypes.bfloat16, name="a/0", owner="b/0")
    expected = Header(
        name="a/0", shape={"dim": [4, 5]}, region=message, dtype=filler_pb2.BFLOAT16, bytes=2 * count, owner="b/0"
    )
    for _ in range(2):
        assert blob_header(source) == expected
        assert Header.FromString(encoded_header(source)) == expected


def test_headers_of_long_names_are_not_kept() -> None:
    before = _encoded_header.cache_info().currsize
    source = flat_index_blob((2,), name="a" * 257)
    assert Header.FromString(encoded_header(source)) == blob_header(source)
    assert _encoded_header.cache_info().currsize == before


def test_a_header_of_a_blob_of_no_axes() -> None:
    assert blob_header(flat_index_blob((), name="a")) == Header(name="a", shape={}, bytes=4)


def test_defaults_are_prototxt_that_says_the_same() -> None:
    fillers = list_fillers().fillers
    tried = set()
    for filler in fillers:
        fields = [f"{field.name}: {field.default_value}" for field in filler.fields if field.default_value]
        parsed = text_format.Parse(f'type: "{filler.type}" {" ".join(fields)}', FillerParameter())
        if filler.type in CAFFE_FILLERS:
            assert all(getattr(parsed, f.name) == getattr(FillerParameter(), f.name) for f in filler.fields)
        bare = FillerParameter(type=filler.type)
        try:
            values, shape = get_filler(bare), (3, 3) if "identity" in filler.type else (3, 3, 3, 3)
        except FillerParameterError:
            # Something has to be given.
            assert not all(field.default_value for field in filler.fields)
            continue
        dtype = np.dtype(np.float32)
        assert get_filler(parsed).distribution(shape, dtype) == values.distribution(shape, dtype)
        tried.add(filler.type)
    assert {filler.type for filler in fillers} - tried == {"torch.constant_", "jax.constant", "jax.variance_scaling"}


def test_a_filler_of_somebody_elses_without_a_docstring_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory, "_fillers", dict(factory._fillers))

    class Undocumented(FlatIndexFiller):
        type = "undocumented"
        fields = ("mean", "variance_norm")

    register(Undocumented)
    (last,) = (filler for filler in list_fillers().fillers if filler.type == "undocumented")
    assert last.description == ""
    assert [(field.name, field.default_value) for field in last.fields] == [
        ("mean", "0.0"),
        ("variance_norm", "FAN_IN"),
    ]


def test_header_types_are_those_of_the_source() -> None:
    for dtype, wire in ((np.float32, 0), (np.float64, 1), (np.float16, 2)):
        assert blob_header(flat_index_blob((2,), dtype=dtype)).dtype == wire
