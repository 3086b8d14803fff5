"""An upgraded file plans to the shapes of the file that it was."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from filler_server.net.plan import Layer, NetPlan
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net, upgrade_text

FORKS_V1 = """
layers { name: "d" type: DUMMY_DATA top: "d" dummy_data_param { num: 1 channels: 18 height: 9 width: 9 } }
layers { name: "v" type: DUMMY_DATA top: "v" dummy_data_param { shape { dim: [1, 3, 8, 9, 9] } } }
layers { name: "i" type: DUMMY_DATA top: "i" dummy_data_param { num: 3 channels: 5 height: 1 width: 1 } }
layers { name: "r" type: ROI_POOLING bottom: "d" bottom: "i" top: "r" roi_pooling_param { pooled_h: 6 pooled_w: 7 } }
layers { name: "l" type: LOCAL bottom: "d" top: "l" local_param { num_output: 5 kernel_size: 3 } }
layers { name: "c" type: CONVOLUTION3D bottom: "v" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 kernel_depth: 2 pad: 1 } }
layers { name: "p" type: POOLING3D bottom: "c" top: "p" pooling_param { kernel_size: 2 kernel_depth: 2 stride: 2 } }
layers { name: "s" type: PRELU bottom: "d" top: "s" }
layers { name: "b" type: BN bottom: "d" top: "b" bn_param { slope_filler { value: 1 } } }
layers { name: "u" type: NOBODYS_TYPE bottom: "d" top: "u" }
layers { name: "e" type: INNER_PRODUCT bottom: "u" top: "e" inner_product_param { num_output: 2 } }
"""


def shapes(data: bytes) -> Iterator[NetPlan | type[FillerError]]:
    """Return the outcome for a net in each phase."""
    document = read_net(data, lenient=True)
    for phase in (caffe_pb2.TRAIN, caffe_pb2.TEST):
        try:
            yield plan_net(document, phase=phase, lenient=True)
        except FillerError as error:
            yield type(error)


def figures(plan: NetPlan | type[FillerError]) -> object:
    def layer_figures(layer: Layer) -> object:
        return layer.name, layer.type, layer.tops, [(blob.name, blob.shape, blob.filler) for blob in layer.blobs]

    return list(map(layer_figures, plan.layers)) if isinstance(plan, NetPlan) else plan


def check(data: bytes) -> bool:
    """Compare a file with what the upgrade makes of it; return whether it makes anything of it."""
    upgraded = upgrade_text(data, lenient=True)
    if upgraded.kind != "net" or not upgraded.needs_upgrade:
        return False
    assert list(map(figures, shapes(upgraded.data))) == list(map(figures, shapes(data)))
    return True


def test_layers_that_only_forks_have_in_the_v1_format() -> None:
    assert check(FORKS_V1.encode())
    (plan, _) = shapes(upgrade_text(FORKS_V1.encode()).data)
    assert isinstance(plan, NetPlan)
    assert [layer.type for layer in plan.layers[3:]] == [
        "ROIPooling", "Local", "Convolution3D", "Pooling3D", "PReLU", "BN", "NOBODYS_TYPE", "InnerProduct"
    ]  # fmt: skip
    assert [blob.shape for blob in plan.layers[5].blobs] == [(4, 3, 2, 3, 3), (1, 1, 1, 1, 4)]
    assert plan.layers[3].tops[0].shape == (3, 18, 6, 7)


def test_layers_that_no_format_knows_in_a_v0_file() -> None:
    assert check(
        b'input: "d" input_dim: [2, 3, 8, 8] layers { layer { name: "u" type: "unheard_of" } bottom: "d" top: "u" }'
        b'layers { layer { name: "i" type: "innerproduct" num_output: 4 } bottom: "u" top: "i" }'
    )


def test_the_project_s_own_nets(nets: Path) -> None:
    """Also with their inputs as old files have them."""
    files = sorted(nets.glob("*.prototxt"))
    assert len(files) > 20
    old = b'input: "old" input_shape { dim: [2, 3] }\n'
    for file in files:
        data = file.read_bytes()
        assert not check(data), "the project's nets are in the current format"
        assert check(old + data)


def test_real_files(shared: Path) -> None:
    with (shared / "corpus" / "MANIFEST.tsv").open() as manifest:
        rows = [row for row in csv.DictReader(manifest, delimiter="\t") if row["kind"] in ("net", "caffemodel")]
    changed = 0
    for row in rows:
        try:
            changed += check((shared / "corpus" / row["file"]).read_bytes())
        except FillerError:
            assert row["real_caffe"] != "ok", row["file"]
    assert changed > 50


@pytest.mark.parametrize("name", ["ROI_POOLING", "ROIPOOLING", "RoiPooling"])
def test_however_forks_write_a_type(name: str) -> None:
    data = FORKS_V1.replace("ROI_POOLING", name).encode()
    assert check(data)
    assert b'"ROIPooling"' in upgrade_text(data).data
