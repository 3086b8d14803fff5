"""Event files for TensorBoard."""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import filler_client
from caffe_filler.errors import Unavailable
from filler_client import FillerClient
from tests.client.cli.command import fail, succeed

pytest.importorskip("tensorboardX")

NET = """layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 5] } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 40 weight_filler { type: "xavier" } } }
"""


def events(path: Path) -> Iterator[Any]:
    """Yield the events of a file, each record held against its checksums."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    data = path.read_bytes()
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        record = data[12 : 12 + size]
        assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
        assert struct.unpack("<I", data[12 + size : 16 + size])[0] == masked_crc32c(record)
        yield Event.FromString(record)
        data = data[16 + size :]


def values(path: Path) -> dict[tuple[str, int], Any]:
    return {(value.tag, event.step): value for event in events(path) for value in event.summary.value}


def test_histograms_and_numbers_of_a_net(tmp_path: Path) -> None:
    made = filler_client.report(NET, seed=3)
    (path,) = made.save_tensorboard(tmp_path / "runs")
    assert path == tmp_path / "runs" / "filled_weights" / "events.out.tfevents.filler"
    assert next(events(path)).file_version == "brain.Event:2"
    found = values(path)
    weights = np.asarray(FillerClient.embedded().init_net(NET, seed=3)["ip/0"], np.float64)
    histogram = found["values/ip/0", 0].histo
    assert (histogram.num, histogram.min, histogram.max) == (200, weights.min(), weights.max())
    assert (histogram.sum, histogram.sum_squares) == (pytest.approx(weights.sum()), pytest.approx((weights**2).sum()))
    assert len(histogram.bucket) == len(histogram.bucket_limit) == 65
    assert (histogram.bucket[0], sum(histogram.bucket)) == (0, 200)
    assert found["std/ip/0", 0].simple_value == pytest.approx(weights.std())
    assert found["signal/log10_mean_square", 1].simple_value == pytest.approx(0, abs=1e-9)
    constant = found["values/ip/1", 0].histo
    assert (list(constant.bucket), constant.bucket_limit[-1]) == ([0, 40], 0)


def test_each_set_of_weights_is_a_run(tmp_path: Path) -> None:
    weights = {name: np.array(array) for name, array in FillerClient.embedded().init_net(NET, seed=1).items()}
    odd = {"ip/0": np.full((40, 5), np.nan), "ip/1": np.array([1e300, *[-1e300] * 39])}
    made = filler_client.report(NET, weights, against=odd)
    first, second = made.save_tensorboard(tmp_path)
    assert [path.parent.name for path in (first, second)] == ["given_arrays", "given_arrays-2"]
    assert ("signal/log10_mean_square", 2) in values(first)
    assert values(second) == {}
    assert made.save_tensorboard(tmp_path) == [first, second]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    page, folder = tmp_path / "page.html", tmp_path / "runs"
    lines = succeed("report", tmp_path / "net.prototxt", "-o", page, "--tensorboard", folder).decode().splitlines()
    assert lines == [str(page), str(folder / "filled_weights" / "events.out.tfevents.filler")]
    assert list(events(Path(lines[1])))
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(Unavailable, match=r"tensorboardX: pip install 'caffe-filler\[tensorboard\]'"):
        filler_client.report(NET).save_tensorboard(tmp_path)
    assert "is a file" in fail(2, "report", tmp_path / "net.prototxt", "--tensorboard", page)
