"""Files held to their manifests: whatever happened to them is found, and named."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import filler_client
from caffe_filler.errors import InvalidArgument
from filler_client import FillerClient, Manifest, digest, verify
from filler_server.digests.manifest import KEY

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 2 transpose: true weight_filler { type: "gaussian" std: 0.1 } } }
"""


@pytest.fixture
def client() -> Any:
    with FillerClient.embedded() as client:
        yield client


def findings(path: Path, manifest: Any = None) -> list[tuple[str, str, str]]:
    found = verify(path, manifest)
    assert found.is_equal == all(one.is_equal for one in found.tensors)
    return [(one.file, one.name, one.finding) for one in found.tensors if not one.is_equal]


@pytest.mark.parametrize("dtype", ["f32", "f64", "f16"])
@pytest.mark.parametrize("ending", ["safetensors", "npz", "caffemodel", "h5"])
def test_what_is_written_is_as_its_manifest_says(client: FillerClient, tmp_path: Path, ending: str, dtype: str) -> None:
    path, beside = tmp_path / f"w.{ending}", tmp_path / f"w.{ending}.manifest.json"
    saved = client.save_net(NET, path, seed=7, dtype=dtype, manifest=beside)
    assert findings(path) == findings(path, beside) == findings(path, saved.manifest) == []
    assert findings(tmp_path) == []
    arrays = client.init_net(NET, seed=7, dtype=dtype)
    assert {name: entry.digest for name, entry in saved.manifest.tensors.items()} == {
        name: digest(array) for name, array in arrays.items()
    }


def test_a_manifest_says_where_the_values_come_from(client: FillerClient, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    client.save_net(NET, path, seed=7, names="torch", phase="TEST", fillers={"fc/*": "xavier"})
    with filler_client.open_weights(path) as weights:
        manifest = Manifest.parse(weights.metadata[KEY])
    fill = manifest.fill
    assert fill is not None
    assert (fill.seed, fill.stream, fill.phase, fill.dtype, fill.names) == (7, "philox", "TEST", "float32", "torch")
    assert fill.options == {"fillers": {"fc/*": 'type: "xavier"'}}
    assert manifest.library.startswith("caffe-filler ")
    conv, fc = manifest.tensors["conv.weight"], manifest.tensors["fc.weight"]
    assert (conv.filler, conv.blob and conv.blob.name) == ('type: "msra"', "conv/0")
    # It is turned, and so not the blob.
    assert (fc.filler, fc.blob) == (None, None)
    assert findings(path) == []


def test_the_manifest_is_the_only_change_to_a_safetensors(client: FillerClient, tmp_path: Path) -> None:
    one, two = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    client.save_net(NET, one, seed=7)
    client.save_net(NET, two, seed=7)
    assert one.read_bytes() == two.read_bytes()
    assert load_file(one).keys() == client.init_net(NET, seed=7).keys()


def test_a_changed_bit_and_exchanged_values_are_found(client: FillerClient, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    manifest = client.save_net(NET, path, seed=7).manifest
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    at = start + header["fc/0"]["data_offsets"][0]
    flipped = bytearray(data)
    flipped[at + 5] ^= 1
    swapped = data[:at] + data[at + 4 : at + 8] + data[at : at + 4] + data[at + 8 :]
    for changed in (bytes(flipped), swapped):
        path.write_bytes(changed)
        assert findings(path) == findings(path, manifest) == [("w.safetensors", "fc/0", "differs")]


def test_other_tensors_shapes_and_dtypes_are_found(client: FillerClient, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    manifest = client.save_net(NET, path, seed=7).manifest
    arrays = client.init_net(NET, seed=7)
    arrays["conv/0"] = arrays["conv/0"].reshape(4, 27)
    arrays["bn/0"] = arrays["bn/0"].astype(np.float64)
    del arrays["fc/1"]
    arrays["new"] = np.zeros(1, np.float32)
    np.savez(path, **arrays)
    assert sorted(findings(path, manifest)) == [
        ("w.npz", "bn/0", "dtype"),
        ("w.npz", "conv/0", "shape"),
        ("w.npz", "fc/1", "missing"),
        ("w.npz", "new", "surplus"),
    ]


def test_a_set_of_files_is_verified_as_one_and_a_lost_file_is_named(client: FillerClient, tmp_path: Path) -> None:
    beside = tmp_path / "w.safetensors.manifest.json"
    saved = client.save_net(NET, tmp_path / "w.safetensors", seed=7, max_shard_bytes=300, manifest=beside)
    assert len(saved.files) > 2
    assert len(verify(saved.path).tensors) == len(verify(tmp_path).tensors) == saved.tensors
    assert findings(tmp_path) == findings(tmp_path, beside) == []
    beside.rename(tmp_path / "elsewhere.json")
    assert findings(tmp_path) == findings(saved.path) == []
    assert findings(saved.files[1]) == []
    lost = saved.files[1]
    lost.unlink()
    assert findings(saved.path) == [(lost.name, "", "missing")]
    assert findings(tmp_path) == [(lost.name, "", "missing")]
    assert findings(tmp_path, tmp_path / "elsewhere.json") == [(lost.name, "", "missing")]


def test_a_file_that_is_cut_short_is_found_beside_sound_ones(client: FillerClient, tmp_path: Path) -> None:
    for name in ("a", "b"):
        client.save_net(NET, tmp_path / f"{name}.npz", seed=7, manifest=tmp_path / f"{name}.npz.manifest.json")
    path = tmp_path / "a.npz"
    path.write_bytes(path.read_bytes()[:-40])
    assert findings(tmp_path) == [("a.npz", "", "damaged")]


def test_a_converted_file_has_a_manifest_of_its_own(client: FillerClient, tmp_path: Path) -> None:
    source, target = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    client.save_net(NET, source, seed=7)
    saved = filler_client.convert(source, target, dtype="f16")
    assert saved.manifest is not None
    assert saved.manifest.fill is None
    assert findings(target) == []
    # Bytes that the system copies are in the manifest, too.
    copied = filler_client.convert(source, tmp_path / "c.safetensors", manifest=tmp_path / "c.json")
    assert copied.manifest is not None
    assert findings(tmp_path / "c.safetensors", tmp_path / "c.json") == []
    assert findings(source, copied.manifest) == []


def test_what_has_no_manifest_is_an_error(client: FillerClient, tmp_path: Path) -> None:
    filler_client.save_weights({"a": np.zeros(3, np.float32)}, tmp_path / "w.safetensors")
    for path in (tmp_path / "w.safetensors", tmp_path):
        with pytest.raises(InvalidArgument, match="has no manifest"):
            verify(path)
    (tmp_path / "w.safetensors").unlink()
    with pytest.raises(InvalidArgument, match="no file there has a manifest"):
        verify(tmp_path)
    with pytest.raises(FileNotFoundError):
        verify(tmp_path / "nothing")


def test_a_strange_manifest_in_a_file_is_an_error_and_does_not_keep_it_from_being_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    filler_client.save_weights({"a": np.zeros(3, np.float32)}, path, metadata={KEY: "[" * 100_000})
    with filler_client.open_weights(path) as weights:
        assert weights["a"].count == 3
    with pytest.raises(InvalidArgument, match="a manifest is a JSON object"):
        verify(path)


def test_a_manifest_is_not_written_over_another_file_by_mistake(client: FillerClient, tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(NET)
    with pytest.raises(InvalidArgument, match="the name of a manifest ends in"):
        client.save_net(net, tmp_path / "w.npz", manifest=net)
    assert net.read_text() == NET


def test_a_lost_file_of_a_set_does_not_hide_what_is_wrong_with_the_others(client: FillerClient, tmp_path: Path) -> None:
    saved = client.save_net(NET, tmp_path / "w.safetensors", seed=7, max_shard_bytes=300)
    first, second, *rest = saved.files[1:]
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(data)
    second.unlink()
    wanted = [(first.name, "differs"), (second.name, "missing")]
    for path in (saved.path, tmp_path):
        assert [(file, finding) for file, _, finding in findings(path)] == wanted
        assert {one.file for one in verify(path).tensors} >= {file.name for file in rest}


def test_files_without_an_index_are_unfinished_and_those_of_other_runs_are_named(
    client: FillerClient, tmp_path: Path
) -> None:
    for part, seed in ((1, 7), (2, 8)):
        client.save_net(NET, tmp_path / "w.safetensors", seed=seed, max_shard_bytes=300, part=(part, 2))
    index, *others = verify(tmp_path).tensors
    assert (index.file, index.finding) == ("w.safetensors.index.json", "missing")
    assert "files are there, and no index" in index.detail
    names = {one.file for one in others if one.finding == "differs"}
    assert names
    assert all("seed 8 in place of 7" in one.detail for one in others if not one.is_equal)
    # An index over them does not make them one run.
    places = {one.name: one.file for one in others if one.name}
    (tmp_path / "w.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    for path in (tmp_path, tmp_path / "w.safetensors.index.json"):
        assert {one.file for one in verify(path).tensors if not one.is_equal} == names


def test_an_index_is_held_to_the_manifest_of_its_set(client: FillerClient, tmp_path: Path) -> None:
    beside = tmp_path / "w.safetensors.manifest.json"
    index, *shards = client.save_net(
        NET, tmp_path / "w.safetensors", seed=7, max_shard_bytes=300, manifest=beside
    ).files
    text = json.loads(index.read_text())
    left = {name: file for name, file in text["weight_map"].items() if file != shards[0].name}
    for changed, finding in ((json.dumps({"weight_map": left}), "differs"), ("{}", "damaged"), (None, "missing")):
        index.unlink() if changed is None else index.write_text(changed)
        for manifest in (None, beside):
            assert findings(tmp_path, manifest) == [(index.name, "", finding)]


def test_a_shard_that_its_index_does_not_name_is_surplus(client: FillerClient, tmp_path: Path) -> None:
    index, first = client.save_net(NET, tmp_path / "w.safetensors", seed=7, max_shard_bytes=300).files[:2]
    text = json.loads(index.read_text())
    places = {name: file for name, file in text["weight_map"].items() if file != first.name}
    index.write_text(json.dumps({"weight_map": places}))
    assert findings(tmp_path) == [(first.name, "", "surplus")]
    index.write_text("{}")
    assert findings(tmp_path) == [(index.name, "", "damaged")]


def test_names_in_capital_letters_are_looked_at_in_a_folder(client: FillerClient, tmp_path: Path) -> None:
    lone = client.save_net(NET, tmp_path / "a.SafeTensors", seed=7).path
    index = client.save_net(NET, tmp_path / "w.SAFETENSORS", seed=7, max_shard_bytes=300).path
    assert findings(tmp_path) == []
    assert {one.file for one in verify(tmp_path).tensors} == {lone.name, index.name}
    lone.write_bytes(lone.read_bytes()[:-1])
    index.unlink()
    assert findings(tmp_path) == [(lone.name, "", "damaged"), (index.name, "", "missing")]


def test_links_that_lead_nowhere_and_pipes_are_found_beside_sound_files(client: FillerClient, tmp_path: Path) -> None:
    client.save_net(NET, tmp_path / "w.safetensors", seed=7)
    (tmp_path / "lost.safetensors").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert findings(tmp_path) == [("lost.safetensors", "", "missing"), ("pipe.safetensors", "", "damaged")]


def test_an_unreadable_manifest_is_one_fault_among_the_others(client: FillerClient, tmp_path: Path) -> None:
    filler_client.save_weights({"a": np.zeros(3, np.float32)}, tmp_path / "a.safetensors", metadata={KEY: "["})
    (tmp_path / "b.npz.manifest.json").write_text("[")
    client.save_net(NET, tmp_path / "c.safetensors", seed=7)
    (tmp_path / "c.safetensors.manifest.json").write_text("{}")
    assert findings(tmp_path) == [
        ("b.npz.manifest.json", "", "damaged"),
        ("c.safetensors.manifest.json", "", "damaged"),
        ("a.safetensors", "", "damaged"),
    ]
    assert any(one.is_equal for one in verify(tmp_path).tensors)
