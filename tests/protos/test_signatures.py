import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.signatures import CONTROL, GZIP, LOOKED_AT, NPY, ZIP, foreign


def tar(kind: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
        archive.addfile(tarfile.TarInfo("net.prototxt"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
        (bz2.compress(b"net"), "compressed by bzip2"),
        (lzma.compress(b"net"), "compressed by xz"),
        (b"\x28\xb5\x2f\xfd\x04", "compressed by Zstandard"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7-Zip archive"),
        (b"PK\x05\x06" + bytes(18), "an empty zip archive"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\r\n <!DOCTYPE HTML><html>", "a web page"),
        (b"<?xml version='1.0'?>", "a web page"),
        (tar(tarfile.USTAR_FORMAT), "a tar archive"),
        (tar(tarfile.GNU_FORMAT), "a tar archive"),
        (tar(tarfile.PAX_FORMAT), "a tar archive"),
        *[(pickle.dumps({"a": [1.5]}, protocol), "a pickle of Python") for protocol in (2, 3, 4, 5)],
    ],
)
def test_files_of_other_kinds(content: bytes, what: str) -> None:
    found = foreign(content[:LOOKED_AT])
    assert found is not None
    assert found.startswith(what)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'name: "net"',
        b'# <html>\nname: "net"',
        b'name: "' + b"x" * 250 + b'ustar"',
        caffe_pb2.NetParameter(name="ustar" * 100).SerializeToString(),
        caffe_pb2.SolverParameter(test_initialization=False).SerializeToString(),
        caffe_pb2.SolverParameter(test_initialization=True).SerializeToString(),
        caffe_pb2.NetParameter(name="net", layer=[{"name": "a"}]).SerializeToString(),
    ],
)
def test_what_may_be_a_net(content: bytes) -> None:
    assert foreign(content[:LOOKED_AT]) is None


def test_signatures_are_those_that_others_write() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", b"b")
    assert file.getvalue().startswith(ZIP)
    assert gzip.compress(b"net").startswith(GZIP)
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    assert file.getvalue().startswith(NPY)


def test_text_has_no_control_characters_and_messages_have_some() -> None:
    assert not CONTROL.search('name: "net"\t# 卷积\r\n'.encode())
    assert CONTROL.search(caffe_pb2.NetParameter(name="net").SerializeToString())
