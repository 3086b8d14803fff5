"""Trained weights into a net, as `Net::CopyTrainedLayersFrom` does it."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import FillerParameter, LayerParameter, NetParameter, V1LayerParameter
from caffe_filler.errors import InvalidArgument
from filler_server.net.plan import Blob, Layer
from filler_server.weights.formats.hdf5 import Hdf5Writer
from filler_server.weights.formats.npz import NpzWriter
from filler_server.weights.merge import Merge, merge
from filler_server.weights.opening import open_weights
from tests.weights.files import write
from tests.weights.messages import blob, legacy_blob, net_of_layers, save

SIX = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
TWO = np.array([7, 8], np.float32)


def layer(
    name: str,
    *shapes: Any,
    unique: str | None = None,
    owners: dict[int, str] | None = None,
    kind: str = "InnerProduct",
    parameter: str = "",
) -> Layer:
    blobs = [
        Blob(f"{unique or name}/{index}", shape, FillerParameter(), (owners or {}).get(index))
        for index, shape in enumerate(shapes)
    ]
    described = text_format.Parse(f'name: "{name}" type: "{kind}" {parameter}', LayerParameter())
    return Layer(name, kind, tuple(described.bottom), (), tuple(blobs), definition=described)


def merged(targets: list[Layer], *paths: Path, ignore_shape: bool = False) -> tuple[Merge, dict[str, Any]]:
    with ExitStack() as files:
        opened = [files.enter_context(open_weights(path)) for path in paths]
        result = merge(targets, opened, ignore_shape=ignore_shape)
        return result, {name: np.array(tensor.array()) for name, tensor in result.tensors.items()}


def actions(result: Merge) -> dict[str, str]:
    return {found.name: found.action for found in result.plan.blobs}


def test_layers_are_found_by_name(tmp_path: Path) -> None:
    path = save(tmp_path / "w", net_of_layers(old=[SIX], ip=[SIX, TWO]))
    result, arrays = merged([layer("new", (2, 3)), layer("ip", (2, 3), (2,))], path)
    assert actions(result) == {"new/0": "filled", "ip/0": "copied", "ip/1": "copied"}
    assert arrays["ip/0"].tobytes() == SIX.tobytes()
    assert [(unused.name, unused.shape, unused.file) for unused in result.plan.unused] == [("old/0", (2, 3), path)]
    assert result.plan.missing == ("new/0",)
    found = result.plan.blobs[1]
    assert (found.file, found.tensor, found.file_shape) == (path, "ip/0", (2, 3))
    result.plan.check()


def test_the_last_file_counts(tmp_path: Path) -> None:
    first = save(tmp_path / "first", net_of_layers(ip=[SIX], a=[TWO]))
    second = save(tmp_path / "second", net_of_layers(ip=[SIX * 2]))
    result, arrays = merged([layer("ip", (2, 3)), layer("a", (2,))], first, second)
    assert arrays["ip/0"].tobytes() == (SIX * 2).tobytes()
    assert arrays["a/0"].tobytes() == TWO.tobytes()
    assert [found.file for found in result.plan.blobs] == [second, first]


def test_legacy_shapes(tmp_path: Path) -> None:
    net = NetParameter()
    net.layers.add(name="ip", type=V1LayerParameter.INNER_PRODUCT, blobs=[legacy_blob(SIX), legacy_blob(TWO)])
    path = save(tmp_path / "w", net)
    result, arrays = merged([layer("ip", (2, 3), (2,))], path)
    assert actions(result) == {"ip/0": "reshaped", "ip/1": "reshaped"}
    assert (arrays["ip/0"].shape, arrays["ip/1"].shape) == ((2, 3), (2,))
    for shapes in [((3, 2), (2,)), ((1, 1, 1, 2, 3), (2,)), ((2, 3), (2, 1))]:
        assert "conflict" in actions(merged([layer("ip", *shapes)], path)[0]).values()
    assert actions(merged([layer("ip", (1, 1, 2, 3), (1, 2))], path)[0]) == {"ip/0": "copied", "ip/1": "reshaped"}


def test_four_axes_of_a_blob_shape_are_no_legacy_shape(tmp_path: Path) -> None:
    path = save(tmp_path / "w", net_of_layers(ip=[SIX.reshape(1, 1, 2, 3)]))
    assert actions(merged([layer("ip", (2, 3))], path)[0]) == {"ip/0": "conflict"}
    # Formats that cannot tell are taken by the word.
    write(NpzWriter, tmp_path / "w.npz", {"ip/0": SIX.reshape(1, 1, 2, 3)})
    assert actions(merged([layer("ip", (2, 3))], tmp_path / "w.npz")[0]) == {"ip/0": "reshaped"}


def test_a_shape_conflict_names_both(tmp_path: Path) -> None:
    path = save(tmp_path / "w", net_of_layers(ip=[SIX, TWO]))
    targets = [layer("ip", (5, 3), (2,))]
    result, _ = merged(targets, path)
    assert actions(result) == {"ip/0": "conflict", "ip/1": "copied"}
    message = r"blob 'ip/0' has the shape \[5, 3\] in the net and \[2, 3\] in the file"
    with pytest.raises(InvalidArgument, match=message) as caught:
        result.plan.check()
    assert [violation.field for violation in caught.value.violations] == ["weights"]
    result, arrays = merged(targets, path, ignore_shape=True)
    result.plan.check()
    assert actions(result) == {"ip/0": "filled", "ip/1": "copied"}
    assert list(arrays) == ["ip/1"]


@pytest.mark.parametrize("stored", [[], [SIX], [SIX, TWO, TWO]])
def test_another_number_of_blobs_is_refused(tmp_path: Path, stored: list[Any]) -> None:
    path = save(tmp_path / "w", net_of_layers(ip=stored))
    result, _ = merged([layer("ip", (2, 3), (2,))], path)
    assert set(actions(result).values()) == {"conflict"}
    with pytest.raises(InvalidArgument, match=f"2 blobs in the net and {len(stored)} in the file"):
        result.plan.check()
    assert set(actions(merged([layer("ip", (2, 3), (2,))], path, ignore_shape=True)[0]).values()) == {"filled"}


@pytest.mark.parametrize("ending", ["npz", "h5"])
@pytest.mark.parametrize("names", [["ip/1"], ["ip/1", "ip/2"], ["ip/0", "ip/5"]])
def test_blobs_are_told_by_their_indices(tmp_path: Path, names: list[str], ending: str) -> None:
    write(NpzWriter if ending == "npz" else Hdf5Writer, tmp_path / f"w.{ending}", dict.fromkeys(names, TWO))
    result, _ = merged([layer("ip", *[(2,)] * len(names))], tmp_path / f"w.{ending}")
    assert set(actions(result).values()) == {"conflict"}
    with pytest.raises(InvalidArgument, match=f"which has '{names[-1]}' and lacks 'ip/"):
        result.plan.check()


def test_a_conflict_with_one_file_is_none_for_the_next_if_shapes_are_ignored(tmp_path: Path) -> None:
    wrong = save(tmp_path / "wrong", net_of_layers(ip=[TWO]))
    right = save(tmp_path / "right", net_of_layers(ip=[SIX]))
    for order in ([wrong, right], [right, wrong]):
        assert actions(merged([layer("ip", (2, 3))], *order)[0]) == {"ip/0": "conflict"}
        assert actions(merged([layer("ip", (2, 3))], *order, ignore_shape=True)[0]) == {"ip/0": "copied"}


def test_repeated_names_go_to_the_first_layer(tmp_path: Path) -> None:
    net = net_of_layers(ip=[SIX])
    net.layer.add(name="ip", type="InnerProduct", blobs=[blob(SIX * 2)])
    targets = [layer("ip", (2, 3)), layer("ip", (2, 3), unique="ip#2")]
    result, arrays = merged(targets, save(tmp_path / "w", net))
    assert actions(result) == {"ip/0": "copied", "ip#2/0": "filled"}
    assert arrays["ip/0"].tobytes() == (SIX * 2).tobytes()
    # A file of this project tells them apart.
    write(NpzWriter, tmp_path / "w.npz", {"ip/0": SIX, "ip#2/0": SIX * 2})
    _, arrays = merged(targets, tmp_path / "w.npz")
    assert arrays["ip#2/0"].tobytes() == (SIX * 2).tobytes()


def test_shared_blobs_are_one(tmp_path: Path) -> None:
    targets = [layer("a", (2, 3)), layer("b", (3, 2), owners={0: "a/0"})]
    path = save(tmp_path / "w", net_of_layers(b=[SIX.reshape(3, 2)]))
    result, arrays = merged(targets, path)
    assert actions(result) == {"a/0": "copied", "b/0": "copied"}
    assert arrays["a/0"].tobytes() == SIX.tobytes()
    assert arrays["a/0"].shape == (2, 3)
    path = save(tmp_path / "w", net_of_layers(b=[SIX.reshape(3, 2)], a=[SIX * 2]))
    assert merged(targets, path)[1]["b/0"].reshape(-1).tolist() == (SIX * 2).reshape(-1).tolist()


def test_hdf5_may_lack_what_is_shared(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    write(Hdf5Writer, tmp_path / "w.h5", {"a/0": SIX, "c/1": TWO})
    with h5py.File(tmp_path / "w.h5", "a") as file:
        file.create_group("data/b")
    targets = [layer("a", (2, 3)), layer("b", (2, 3), owners={0: "a/0"})]
    result, _ = merged(targets, tmp_path / "w.h5")
    assert actions(result) == {"a/0": "copied", "b/0": "copied"}
    assert result.plan.conflicts == ()
    for target in (layer("c", (2, 3), (2,)), layer("b", (2,))):
        assert "conflict" in actions(merged([target], tmp_path / "w.h5")[0]).values()


def test_hdf5_knows_no_legacy_shapes_and_the_last_of_repeated_names(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    write(Hdf5Writer, tmp_path / "w.h5", {"ip/0": SIX.reshape(1, 1, 2, 3)})
    assert actions(merged([layer("ip", (2, 3))], tmp_path / "w.h5")[0]) == {"ip/0": "conflict"}
    targets = [layer("ip", (1, 1, 2, 3)), layer("ip", (1, 1, 2, 3), unique="ip#2")]
    assert actions(merged(targets, tmp_path / "w.h5")[0]) == {"ip/0": "filled", "ip#2/0": "copied"}
    write(Hdf5Writer, tmp_path / "w.h5", {"ip/0": SIX.reshape(1, 1, 2, 3), "ip#2/0": SIX.reshape(1, 1, 2, 3)})
    assert actions(merged(targets, tmp_path / "w.h5")[0]) == {"ip/0": "copied", "ip#2/0": "copied"}


def test_unknown_dimensions_are_settled_by_the_file(tmp_path: Path) -> None:
    path = save(tmp_path / "w", net_of_layers(ip=[SIX], any=[SIX]))
    result, arrays = merged([layer("ip", (2, None)), layer("any", None)], path)
    assert [found.shape for found in result.plan.blobs] == [(2, 3), (2, 3)]
    assert arrays["ip/0"].shape == (2, 3)
    assert actions(merged([layer("ip", (3, None))], path)[0]) == {"ip/0": "conflict"}
