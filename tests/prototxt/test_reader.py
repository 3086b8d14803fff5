import bz2
import contextlib
import csv
import gzip
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, LimitExceeded, PrototxtError
from filler_server.prototxt import NetDocument, Problem, ReadLimits, read_net, read_solver, read_text
from tests.growth import growth

NET = b'name: "n"\nlayer { name: "a" }\n\nlayer {\n  name: "b" type: "ReLU" }\n'


def test_text() -> None:
    document = read_net(NET)
    assert document.net == text_format.Parse(NET.decode(), caffe_pb2.NetParameter())
    assert document == NetDocument(document.net, (), (2, 4), "text", (), ({}, {}))


def test_binary() -> None:
    net = read_net(NET).net
    assert read_net(net.SerializeToString()) == NetDocument(net, (), (None, None), "binary", (), ({}, {}))


def test_all_nets_of_the_project(nets: Path) -> None:
    paths = sorted(nets.glob("*.prototxt"))
    assert len(paths) > 20
    for path in paths:
        document = read_net(path.read_bytes(), strict=True)
        assert document.net == text_format.Parse(path.read_text(), caffe_pb2.NetParameter()), path
        lines = path.read_text().split("\n")
        assert len(document.layer_lines) == len(document.net.layer) > 0
        assert all(lines[line - 1].startswith("layer") for line in document.layer_lines if line), path


def test_nothing_is_an_empty_net() -> None:
    assert read_net(b"") == NetDocument(caffe_pb2.NetParameter(), (), (), "text")
    assert read_net(b"# nothing\n").net == caffe_pb2.NetParameter()


def test_windows_has_been_there() -> None:
    data = b"\xef\xbb\xbf" + NET.replace(b"\n", b"\r\n")
    assert read_net(data) == read_net(NET)


def test_comments_may_hold_anything() -> None:
    document = read_net(b"# \xff\xfe\x02\x01 \xe9\n" + NET)
    assert document == NetDocument(read_net(NET).net, (), (3, 5), "text", (), ({}, {}))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"# a comment \x00\n", "1:13"),
        (b'name: "a\x00b"\n', "1:9"),
        (b"name: 'a\\\x00b'\n", "1:10"),
        (b'\nname: "a" \x00', "2:11"),
        (b"\x00", "1:1"),
    ],
)
def test_a_nul_is_nowhere(text: bytes, place: str) -> None:
    """To Caffe's parser it is the end of the text, within strings and comments, too."""
    with pytest.raises(PrototxtError, match=rf"^{place}: a NUL character, which no text has\. Received: U\+0000$"):
        read_net(text + NET)


def test_a_nul_may_be_written_as_an_escape() -> None:
    assert read_net(b'name: "a\\0b" layer { name: "l" }').net.name == "a\0b"


def test_bytes_that_are_not_utf8_elsewhere() -> None:
    document = read_net(b'layer {\n name: "\xb2\xe3" }')
    assert document.problems == (
        Problem("byte 0xb2 of LayerParameter.name is not UTF-8, replaced by U+FFFD", 2, 8, "\ufffd\ufffd"),
    )
    with pytest.raises(PrototxtError, match=r"^1:7: a byte that is not UTF-8, .* Received: 0xb2"):
        read_net(b"layer \xb2 { }")


def test_problems_are_in_the_document() -> None:
    document = read_net(b'layer {\n  name: "x"  permute_param { order: 0 } }')
    problem = Problem("LayerParameter has no field permute_param, passed over", line=2, column=14, layer="x")
    assert document.problems == (problem,)


def test_strict() -> None:
    text = b"layer { pooling_param { ceil_mode: false } }"
    with pytest.raises(PrototxtError, match=r"^1:25: PoolingParameter has no field ceil_mode\. Received: ceil_mode$"):
        read_net(text, strict=True)
    with pytest.raises(PrototxtError, match=r"^LayerParameter has no field number 14\. Received: .* wire type 0$"):
        read_net(b"\xa2\x06\x02\x70\x01", strict=True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        (gzip.compress(NET, mtime=0), "compressed by gzip"),
        (bz2.compress(NET), "compressed by bzip2"),
        (b"PK\x03\x04" + bytes(20), "a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "a Git LFS pointer"),
        (b"\n <!DOCTYPE html>\n<html></html>", "a web page"),
        (b"<html lang='en'>", "a web page"),
        (b"<?xml version='1.0'?>", "a web page"),
        (NET.decode().encode("utf-16"), "text in UTF-16"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
        (bytes(range(256)), "not a binary message"),
        (read_net(NET).net.SerializeToString()[:-1], "not a binary message"),
        (caffe_pb2.BlobProto(num=1, data=[1, 2]).SerializeToString(), "a single blob, such as a mean, not a net"),
        (caffe_pb2.BlobProto(num=1, width=2).SerializeToString(), "a single blob, such as a mean, not a net"),
        (caffe_pb2.SolverState(iter=9, learned_net="\x01").SerializeToString(), "the state of a solver, not a net"),
        (caffe_pb2.SolverParameter(net="n", base_lr=1, display=1).SerializeToString(), "a solver, not a net"),
        (b'net: "x.prototxt"\nbase_lr: 0.01\n', "1:1: the file is a solver, not a net"),
        (b"item { name: 'cat' }\nitem { name: 'dog' }", "1:1: the file is not a net"),
    ],
)
def test_other_files_are_called_by_their_names(data: bytes, words: str) -> None:
    with pytest.raises(PrototxtError) as caught:
        read_net(data)
    assert words in str(caught.value)
    assert ". Received: " in str(caught.value)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (read_net(NET).net, "a net"),
        (
            caffe_pb2.NetParameter(name="v1", layers=[{"name": "a", "type": 4, "blobs": [{"data": [1, 2]}]}] * 3),
            "a net",
        ),
        (caffe_pb2.BlobProto(num=1, channels=3, height=1, width=2, data=[0] * 6), "a single blob, such as a mean"),
        (caffe_pb2.BlobProto(shape={"dim": [1, 2]}, data=[0] * 2), "a single blob, such as a mean"),
        (caffe_pb2.SolverState(iter=500, learned_net="n", history=[{"data": [1]}] * 4), "the state of a solver"),
    ],
)
def test_what_is_not_a_solver_is_called_by_its_name(message: Message, words: str) -> None:
    data = message.SerializeToString()
    with pytest.raises(PrototxtError) as caught:
        read_solver(data)
    assert str(caught.value) == f"the file is {words}, not a solver. Received: {len(data)} bytes"


def test_numbers_of_types_that_forks_use_otherwise() -> None:
    layers = [{"type": 34}, {"type": 4}, {"type": 39}]
    document = read_net(caffe_pb2.NetParameter(name="\x01", layers=layers).SerializeToString())
    assert document.v1_numbers == (34, None, 39)
    assert read_net(b"layers { type: MVN }").v1_numbers == ()


def test_a_control_character_is_an_error_of_the_text() -> None:
    with pytest.raises(PrototxtError, match=r"^2:19: .*U\+0007"):
        read_net(NET.replace(b'"a" }', b'"a" \a}') + b"\n" * 100)


def test_bytes_are_asked_for() -> None:
    with pytest.raises(InvalidArgument, match=r"Received: str$"):
        read_net(NET.decode())  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"Received: str$"):
        read_text("", caffe_pb2.NetParameter)  # type: ignore[arg-type]


def test_limits() -> None:
    with pytest.raises(LimitExceeded, match=rf"^over the limit text_bytes=10\. Received: {len(NET)}$") as caught:
        read_net(NET, limits=ReadLimits(text_bytes=10))
    assert caught.value.metadata == {"limit": "text_bytes", "value": "10", "received": str(len(NET))}
    binary = read_net(NET).net.SerializeToString()
    with pytest.raises(LimitExceeded, match=rf"^over the limit binary_bytes=10\. Received: {len(binary)}$"):
        read_net(binary, limits=ReadLimits(binary_bytes=10))
    for data in (NET, binary):
        with pytest.raises(LimitExceeded, match=r"over the limit layers=1\. Received: 2$"):
            read_net(data, limits=ReadLimits(layers=1))
    with pytest.raises(InvalidArgument, match=r"Received: nesting=1000$"):
        ReadLimits(nesting=1000)


def test_a_message_of_any_type() -> None:
    message, problems = read_text(b'type: "msra" variance_norm: 2 mode: 1', caffe_pb2.FillerParameter)
    assert message == caffe_pb2.FillerParameter(type="msra", variance_norm=caffe_pb2.FillerParameter.AVERAGE)
    assert [str(problem) for problem in problems] == ["1:31: FillerParameter has no field mode, passed over"]
    with pytest.raises(
        PrototxtError, match=r"^1:14: FillerParameter has no field st \(did you mean std\?\)\. Received: st$"
    ):
        read_text(b'type: "msra" st: 1', caffe_pb2.FillerParameter, strict=True)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_binaries_give_a_document_or_an_error(nets: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(nets.glob("*.prototxt"))))
    binary = bytearray(read_net(path.read_bytes()).net.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(binary)))
        binary[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(PrototxtError, LimitExceeded):
        document = read_net(bytes(binary))
        assert document.net.SerializeToString() is not None
        assert all(isinstance(layer.name, str) for layer in document.net.layer)


BLOCK = """layer {
  name: "block%d/conv"
  type: "Convolution"
  bottom: "block%d/conv"
  top: "block%d/conv"
  param { lr_mult: 1 decay_mult: 1 }
  convolution_param {
    num_output: 64  kernel_size: 3  pad: 1  # 64 maps
    weight_filler { type: "gaussian" std: 0.01 }
  }
}
"""


def blocks(count: int) -> bytes:
    return "".join(BLOCK % (index, index - 1, index) for index in range(count)).encode()


def test_the_largest_known_size() -> None:
    data = blocks(5342)
    assert len(data) > 1_400_000
    document = read_net(data)
    assert len(document.net.layer) == 5342
    assert document.layer_lines[-1] == 5341 * 11 + 1


def test_the_work_grows_as_the_file_does() -> None:
    assert growth(lambda count: partial(read_net, blocks(count)), 5342, times=12) < 24


def test_real_files_that_parse_strictly(shared: Path) -> None:
    folder = shared / "corpus"
    with (folder / "MANIFEST.tsv").open() as manifest:
        rows = [row for row in csv.DictReader(manifest, delimiter="\t") if row["bvlc_strict"] == "ok"]
    types: dict[str, Any] = {"net": caffe_pb2.NetParameter, "solver": caffe_pb2.SolverParameter}
    assert len(rows) > 70
    for row in rows:
        data = (folder / row["file"]).read_bytes()
        message, problems = read_text(data, types[row["kind"]])
        assert message == text_format.Parse(data.decode("utf-8-sig"), types[row["kind"]]()), row["file"]
        assert problems == (), row["file"]
