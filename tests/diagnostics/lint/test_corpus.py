"""Nets of the wild: no crash, and mends that keep every shape. One in 24 of them is looked at."""

from pathlib import Path

from caffe_filler.errors import FillerError
from filler_server.diagnostics.lint import Selection
from filler_server.diagnostics.lint.checking import check_file
from filler_server.diagnostics.lint.fixing import fix_file
from filler_server.net.plan import Layer
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net


def shapes(data: bytes) -> list[object]:
    def shown(layer: Layer) -> object:
        return layer.name, layer.type, layer.tops, [blob.shape for blob in layer.blobs]

    try:
        return [list(map(shown, plan_net(read_net(data), phase=phase).layers)) for phase in (0, 1)]
    except FillerError:
        return []


def test_every_file_has_findings_or_none(shared: Path) -> None:
    files = sorted(path for path in (shared / "corpus").rglob("*.prototxt") if path.is_file())[::24]
    selection = Selection.of()
    mended = 0
    for path in files:
        data = path.read_bytes()
        for found in check_file(data, str(path), selection).found:
            assert found.finding.message
        fixed = fix_file(data, str(path), selection)
        mended += fixed.data != data
        before = shapes(data)
        assert not before or shapes(fixed.data) == before, path
    assert len(files) > 3
    assert mended
