"""Files of a set that several processes write, each some of them, are those of one process."""

from pathlib import Path
from typing import Any

import click
import pytest

import filler_client
from caffe_filler.errors import InvalidArgument, WeightsError
from filler_client import FillerClient, verify
from filler_client._provenance import library
from filler_client.cli.weights_net import Part
from tests.client.cli.command import fail, succeed

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "sc" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.1 } } }
"""


@pytest.fixture
def client() -> Any:
    with FillerClient.embedded() as client:
        yield client


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("options", [{}, {"names": "torch", "dtype": "f16"}, {"stream": "caffe"}], ids=str)
@pytest.mark.parametrize("parts", [1, 3, 16])
def test_parts_are_the_files_of_an_undivided_run(
    client: FillerClient, tmp_path: Path, parts: int, options: dict[str, Any]
) -> None:
    whole, divided = tmp_path / "whole", tmp_path / "divided"
    for folder in (whole, divided):
        folder.mkdir()
    client.save_net(NET, whole / "w.safetensors", seed=7, max_shard_bytes=150, **options)
    options = {"seed": 7, "max_shard_bytes": 150, **options}
    owned = []
    for part in range(parts, 0, -1):
        saved = client.save_net(NET, divided / "w.safetensors", part=(part, parts), **options)
        owned += [path.name for path in saved.files]
        assert len(saved.manifest.tensors) == saved.tensors
    assert len(owned) == len(set(owned)) == len(contents(whole)) - 1
    saved = client.save_net(NET, divided / "w.safetensors", finish=True, **options)
    assert contents(divided) == contents(whole)
    assert saved.path == divided / "w.safetensors.index.json"
    assert verify(saved.path, saved.manifest).is_equal


def test_one_file_is_owned_by_the_first_part(client: FillerClient, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    for part in (2, 1):
        saved = client.save_net(NET, path, seed=7, max_shard_bytes=1 << 20, part=(part, 2))
        assert saved.files == ((path,) if part == 1 else ())
    assert client.save_net(NET, path, seed=7, max_shard_bytes=1 << 20, finish=True).files == (path,)
    assert list(contents(tmp_path)) == ["w.safetensors"]


def test_what_cannot_be_taken_is_named(client: FillerClient, tmp_path: Path) -> None:
    path, options = tmp_path / "w.safetensors", {"seed": 7, "max_shard_bytes": 150}
    for part in (1, 2):
        client.save_net(NET, path, part=(part, 2), **options)  # type: ignore[arg-type]
    shards = sorted(tmp_path.iterdir())
    assert len(shards) > 3
    shards[0].unlink()
    data = bytearray(shards[1].read_bytes())
    data[-1] ^= 1
    shards[1].write_bytes(data)
    shards[2].write_bytes(shards[2].read_bytes()[:-1])
    with pytest.raises(WeightsError) as caught:
        client.save_net(NET, path, finish=True, **options)  # type: ignore[arg-type]
    for words in (f"{shards[0].name} is missing", f"{shards[1].name}: tensor 'sc/1'", f"{shards[2].name}: ", "differs"):
        assert words in str(caught.value)
    assert not (tmp_path / "w.safetensors.index.json").exists()
    with pytest.raises(WeightsError, match="it is of another run"):
        client.save_net(NET, path, finish=True, seed=8, max_shard_bytes=150)


def test_an_earlier_set_does_not_stay(client: FillerClient, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    index = client.save_net(NET, path, seed=6, max_shard_bytes=700).path
    client.save_net(NET, path, seed=7, max_shard_bytes=150, part=(1, 1))
    # It would name files of two runs.
    assert not index.exists()
    saved = client.save_net(NET, path, seed=7, max_shard_bytes=150, finish=True)
    assert {file.name for file in saved.files} == contents(tmp_path).keys()
    assert "removed what an earlier run had left" in saved.notes[0]


def test_a_part_that_is_written_once_more_keeps_what_is_complete(client: FillerClient, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    options: Any = {"seed": 7, "max_shard_bytes": 1, "part": (1, 1), "keep_complete": True}
    first = client.save_net(NET, path, **options)
    assert not first.is_kept
    shards = first.files
    assert len(shards) == 9
    whole = contents(tmp_path)
    index = client.save_net(NET, path, seed=7, max_shard_bytes=1, finish=True).path
    told: list[int] = []
    kept = client.save_net(NET, path, **options, advance=lambda nbytes, name: told.append(nbytes))
    assert kept.is_kept
    assert (kept.manifest, kept.files, sum(told)) == (first.manifest, shards, first.nbytes)
    assert index.exists()
    shards[0].unlink()
    # The manifest is as it was, and a value is not.
    shards[1].write_bytes(shards[1].read_bytes()[:-1] + b"?")
    shards[2].write_bytes(shards[2].read_bytes()[:-1])
    # As another run has it, and another version.
    client.save_net(NET, tmp_path / "other.safetensors", max_shard_bytes=1, seed=8)
    (tmp_path / shards[3].name.replace("w-", "other-")).replace(shards[3])
    for other in tmp_path.glob("other*"):
        other.unlink()
    version = library().encode()
    shards[4].write_bytes(shards[4].read_bytes().replace(version, version[:-1] + b"9"))
    left = shards[5].stat().st_mtime_ns
    (tmp_path / f".{shards[0].name}.01234567.part").write_bytes(b"of a process that was killed")
    again = client.save_net(NET, path, **options)
    assert not again.is_kept
    assert contents(tmp_path) == whole
    assert shards[5].stat().st_mtime_ns == left


def test_finishing_removes_what_killed_parts_have_left(client: FillerClient, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    client.save_net(NET, path, seed=7, max_shard_bytes=150, part=(1, 1))
    for name in ("w-00002-of-00007.safetensors", "w-00002-of-00003.safetensors"):
        (tmp_path / f".{name}.01234567.part").write_bytes(b"half")
    client.save_net(NET, path, seed=7, max_shard_bytes=150, finish=True)
    assert not [name for name in contents(tmp_path) if name.startswith(".")]


def test_files_of_another_version_are_not_finished(client: FillerClient, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    (shard, *_) = client.save_net(NET, path, seed=7, max_shard_bytes=150, part=(1, 1)).files
    version = library().encode()
    shard.write_bytes(shard.read_bytes().replace(version, version[:-1] + b"9"))
    with pytest.raises(WeightsError, match=rf"1 file of 4 .*it is of {library()[:-1]}9, and this is {library()}"):
        client.save_net(NET, path, seed=7, max_shard_bytes=150, finish=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": (0, 2), "max_shard_bytes": 9}, "parts are numbered from 1"),
        ({"part": (3, 2), "max_shard_bytes": 9}, "Received: part='3/2'"),
        ({"part": (1, 2)}, "only a .safetensors with max_shard_bytes is divided"),
        ({"finish": True}, "only a .safetensors with max_shard_bytes is divided"),
        ({"part": (1, 2), "finish": True, "max_shard_bytes": 9}, "a part is written or all are finished"),
        ({"part": (1, 2), "manifest": "m.json", "max_shard_bytes": 9}, "is written with finish=True"),
    ],
)
def test_what_makes_no_sense_is_refused(
    client: FillerClient, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        client.save_net(NET, tmp_path / "w.safetensors", **options)
    with pytest.raises(InvalidArgument):
        client.save_net(NET, tmp_path / "w.npz", **options)
    assert contents(tmp_path) == {}


def test_the_command_line(tmp_path: Path) -> None:
    net, path = tmp_path / "net.prototxt", tmp_path / "w.safetensors"
    net.write_text(NET)
    arguments = ("init", net, "-o", path, "--max-shard-size", "150B")
    assert succeed(*arguments, "--part", "2/2").startswith(b"part 2 of 2: ")
    assert "cannot be taken" in fail(1, *arguments, "--finish")
    succeed(*arguments, "--part", "1/2")
    assert succeed(*arguments, "--finish", "--manifest").startswith(b"checked: 9 tensors, ")
    assert filler_client.verify(tmp_path).is_equal
    assert "a part is like 3/16" in fail(2, *arguments, "--part", "3/2")


@pytest.mark.parametrize(
    ("text", "part"),
    [("3/16", (3, 16)), ("JOB_COMPLETION_INDEX/16", (16, 16)), ("RANK/WORLD_SIZE", (1, 4)), ("2/WORLD_SIZE", (2, 4))],
)
def test_parts_are_numbers_or_variables_that_count_from_0(
    text: str, part: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"JOB_COMPLETION_INDEX": "15", "RANK": "0", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert Part().convert(text, None, None) == part


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Received: ''"),
        ("3", "Received: ''"),
        ("3/", "Received: ''"),
        ("-1/4", "Received: '-1'"),
        ("1/4/4", "Received: '4/4'"),
        ("³/4", "Received: '³'"),
        ("0/4", "from 1/16 to 16/16. Received: 0/4"),
        ("0/0", "Received: 0/0"),
        ("INDEX/16", "Received: INDEX/16, which is 17/16"),
        ("NO_SUCH_VARIABLE/16", "The environment has no NO_SUCH_VARIABLE"),
        ("WORD/16", "Received: WORD='two', which is not a number"),
    ],
)
def test_other_parts_are_refused(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX", "16")
    monkeypatch.setenv("WORD", "two")
    with pytest.raises(click.BadParameter) as caught:
        Part().convert(text, None, None)
    assert "a part is like 3/16" in caught.value.message
    assert message in caught.value.message
