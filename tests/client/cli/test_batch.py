"""`filler init` of many nets as a process."""

import json
from pathlib import Path

import pytest

import filler_client
from tests.client.cli.command import fail, run, succeed

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 8] } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    folder = tmp_path / "nets"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(f'net: "{folder}/a.prototxt" random_seed: 7')
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_many_nets_are_filled_and_what_is_complete_is_left_as_it_is(nets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = succeed("init", nets, "-o", f"{out}/", "--seed", 3, "-j", 2).decode()
    assert names(out) == ["a.safetensors", "b.safetensors", "solver.safetensors"]
    assert f"{out}/a.safetensors: 27 parameters, 108 B\n" in said
    assert said.splitlines()[-1].startswith("3 files written: 324 B in ")
    one = tmp_path / "one.safetensors"
    succeed("init", nets / "a.prototxt", "-o", one, "--seed", 3)
    assert (out / "a.safetensors").read_bytes() == one.read_bytes()
    (out / "b.safetensors").write_bytes(one.read_bytes()[:-1])
    before = (out / "a.safetensors").stat().st_mtime_ns
    lines = succeed("init", nets, "-o", f"{out}/", "--seed", 3, "--json").splitlines()
    found = {Path(entry["net"]).stem: entry for entry in map(json.loads, lines)}
    assert {name: entry["skipped"] for name, entry in found.items()} == {"a": True, "b": False, "solver": True}
    assert (out / "a.safetensors").stat().st_mtime_ns == before
    assert (out / "b.safetensors").read_bytes() == one.read_bytes()
    entry = found["b"]
    assert (entry["path"], entry["parameters"], entry["bytes"]) == (f"{out}/b.safetensors", 27, 108)
    assert (entry["error"], entry["digest"]) == (None, found["a"]["digest"])
    other = json.loads(succeed("init", nets / "a.prototxt", "-o", f"{out}/", "--seed", 4, "--json"))
    assert not other["skipped"]
    assert other["digest"] != entry["digest"]


def test_a_failure_is_told_and_the_others_are_filled(nets: Path, tmp_path: Path) -> None:
    (nets / "bad.prototxt").write_text(NET.replace("xavier", "xavir"))
    (nets / "worse.prototxt").write_text("layer {")
    out = tmp_path / "out"
    done = run("init", nets, "-o", out, "--quiet", "--manifest")
    assert (done.returncode, done.stdout) == (1, b"")
    said = done.stderr.decode()
    assert "bad.prototxt: blob 'ip/0'" in said
    assert "worse.prototxt" in said
    assert "Traceback" not in said
    assert [name for name in names(out) if not name.endswith(".json")] == [
        "a.safetensors",
        "b.safetensors",
        "solver.safetensors",
    ]
    assert filler_client.verify(out).is_equal
    entries = list(map(json.loads, run("init", nets, "-o", out, "--json").stdout.splitlines()))
    assert sorted(Path(entry["net"]).stem for entry in entries if entry["error"]) == ["bad", "worse"]


def test_one_file_has_nothing_beside_it(nets: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    for _ in range(2):
        entry = json.loads(succeed("init", nets / "a.prototxt", "-o", path, "--json"))
        assert (entry["path"], entry["skipped"]) == (str(path), False)
    assert names(tmp_path) == ["nets", "w.npz"]


def test_a_job_file_with_shards_and_formats(nets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    jobs = tmp_path / "jobs.toml"
    jobs.write_text("""
    [[job]]
    net = "nets/a.prototxt"
    seed = [1, 2]
    max_shard_size = "96B"
    [[job]]
    net = "nets/[ab].prototxt"
    output = "{net}.npz"
    """)
    said = succeed("init", jobs, "-o", out).decode()
    assert f"{out}/a-1.safetensors.index.json: 27 parameters" in said
    assert "a-2-00002-of-00002.safetensors" in names(out)
    assert "a.npz.manifest.json" in names(out)
    assert filler_client.verify(out).is_equal
    again = succeed("init", jobs, "-o", out).decode()
    assert again.splitlines()[-1].startswith("0 files written, 4 complete already: ")
    # Larger shards: those of the earlier run do not stay beside the new file.
    jobs.write_text(jobs.read_text().replace("96B", "1MB"))
    succeed("init", jobs, "-o", out)
    assert [name for name in names(out) if "npz" not in name] == ["a-1.safetensors", "a-2.safetensors"]


def test_a_set_of_other_shards_is_not_what_would_be_written(nets: Path, tmp_path: Path) -> None:
    net, out = nets / "a.prototxt", tmp_path / "out"
    net.write_text(NET + NET[NET.index('layer { name: "ip"') :].replace('"ip"', '"ip2"').replace("3", "4"))
    # Tensors of 96, 12, 128 and 16 bytes: each in one file, in two files, and otherwise in two.
    for size, files in (("1B", 4), ("130B", 3), ("150B", 2), ("240B", 2)):
        whole = tmp_path / size
        for folder in (out, whole):
            succeed("init", net, "-o", f"{folder}/", "--max-shard-size", size)
        assert len(names(out)) == files + 1
        assert {path.name: path.read_bytes() for path in out.iterdir()} == {
            path.name: path.read_bytes() for path in whole.iterdir()
        }
        assert b"1 complete already" in succeed("init", net, "-o", f"{out}/", "--max-shard-size", size)


@pytest.mark.parametrize(("size", "other"), [("96B", "1MB"), ("1MB", "96B")])
def test_a_file_and_a_set_of_one_name_are_not_complete(nets: Path, tmp_path: Path, size: str, other: str) -> None:
    net, out, left = nets / "a.prototxt", tmp_path / "out", tmp_path / "left"
    batch = ("init", net, "-o", f"{out}/", "--max-shard-size", size)
    succeed(*batch)
    expected = names(out)
    succeed("init", net, "-o", f"{left}/", "--max-shard-size", other, "--seed", 2)
    for path in left.iterdir():
        path.rename(out / path.name)
    assert b"1 file written" in succeed(*batch)
    assert names(out) == expected


def test_no_manifest_stays_beside_what_was_written_since(nets: Path, tmp_path: Path) -> None:
    net, out, other = nets / "a.prototxt", tmp_path / "out", tmp_path / "other.npz"
    batch = ("init", net, "-o", out / "{net}.npz", "--seed", 1)
    succeed(*batch)
    expected = (out / "a.npz").read_bytes()
    succeed("init", net, "-o", other, "--seed", 2)
    for again in (("init", net, "-o", out / "a.npz", "--seed", 2), ("convert", other, out / "a.npz")):
        done = run(*again)
        assert b"removed what an earlier run had left under this name: a.npz.manifest.json" in done.stderr
        assert b"1 file written" in succeed(*batch)
        assert (out / "a.npz").read_bytes() == expected
    done = run("convert", other, out / "a.npz", "--manifest")
    assert (done.returncode, done.stderr) == (0, b"")
    succeed("verify", out)


def test_names_that_collide_are_an_error_before_anything_is_written(nets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.prototxt").write_text(NET)
    said = fail(1, "init", nets, tmp_path / "other", "-o", out)
    assert "two jobs would write one file" in said
    assert "two jobs would write one file" in fail(1, "init", nets, "-o", tmp_path / "w.npz")
    assert "write over a file that is read" in fail(1, "init", nets, "-o", f"{nets}/{{net}}.prototxt")
    assert not out.exists()
    assert "go with one net" in fail(2, "init", nets, "-o", out, "--dry-run")
    said = fail(1, "init", nets / "a.prototxt", nets / "b.prototxt", "-o", f"{nets}/a.prototxt/")
    assert f"this is a file. Received: {nets}/a.prototxt" in said


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_no_output_is_written_over_a_file_that_is_read(nets: Path, tmp_path: Path, quiet: tuple[str, ...]) -> None:
    net, solver, weights = nets / "a.prototxt", nets / "solver.prototxt", tmp_path / "w.safetensors"
    succeed("init", net, "-o", weights, "--max-shard-size", "96B")
    shard, index = tmp_path / "w-00001-of-00002.safetensors", tmp_path / "w.safetensors.index.json"
    index.symlink_to(index.rename(tmp_path / "blob"))
    before = {path: path.read_bytes() for path in (*nets.iterdir(), *tmp_path.glob("w*"))}
    for arguments in (
        (net, "-o", net),
        ("--solver", solver, "-o", solver),
        ("--solver", solver, "-o", net),
        (net, "-o", weights, "--weights", index),
        (net, "-o", weights, "--weights", shard),
        (net, "-o", shard, "--weights", index),
        (net, "-o", shard, "--weights", shard),
    ):
        assert "write over a file that is read" in fail(1, "init", *arguments, *quiet)
    assert {path: path.read_bytes() for path in (*nets.iterdir(), *tmp_path.glob("w*"))} == before


def test_no_job_writes_over_the_shards_of_another(nets: Path, tmp_path: Path) -> None:
    jobs, out = tmp_path / "jobs.toml", tmp_path / "out"
    jobs.write_text("""
[[job]]
net = "nets/a.prototxt"
max_shard_size = "96B"
[[job]]
net = "nets/b.prototxt"
output = "a-00001-of-00002.safetensors"
""")
    assert "two jobs would write one file" in fail(1, "init", jobs, "-o", out)
    assert not out.exists()


def test_a_link_that_leads_nowhere_is_one_error(nets: Path, tmp_path: Path) -> None:
    link = tmp_path / "loop.safetensors"
    link.symlink_to(link)
    done = run("init", min(nets.glob("*.prototxt")), "-o", link, "--quiet")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"symbolic links" in done.stderr


def test_the_folder_of_an_output_has_no_fields(nets: Path, tmp_path: Path) -> None:
    for quiet in ((), ("--quiet",)):
        done = run("init", min(nets.glob("*.prototxt")), "-o", tmp_path / "{net}" / "w.npz", *quiet)
        assert done.returncode == 1
        assert b"fields stand in an output's name" in done.stderr
    assert not (tmp_path / "{net}").exists()


def test_a_nul_in_the_name_of_an_output_is_one_error(nets: Path, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.toml"
    for key in ("output", "net"):
        given = {"net": "nets/a.prototxt", key: "a\\u0000.npz"}
        jobs.write_text("[[job]]\n" + "".join(f'{name} = "{value}"\n' for name, value in given.items()))
        assert len(fail(1, "init", jobs, "-o", tmp_path / "out").splitlines()) == 1


def test_an_empty_name_is_not_this_folder(nets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(nets)
    before = names(nets)
    assert "not empty" in fail(1, "init", "", "-o", tmp_path / "out")
    assert "Missing option '-o'" in fail(2, "init", "a.prototxt", "-o", "")
    assert names(nets) == before
    assert not (tmp_path / "out").exists()


def test_one_net_is_quiet_or_json_with_every_option(nets: Path, tmp_path: Path) -> None:
    path, manifest = tmp_path / "new" / "w.safetensors", tmp_path / "m.json"
    sharded = ("init", nets / "a.prototxt", "-o", path, "--max-shard-size", "96B")
    assert succeed(*sharded, "--part", "1/2", "--quiet") == b""
    entry = json.loads(succeed(*sharded, "--part", "2/2", "--json"))
    assert (entry["bytes"], entry["skipped"], entry["error"]) == (12, False, None)
    assert json.loads(succeed(*sharded, "--part", "2/2", "--json"))["skipped"]
    whole = json.loads(succeed(*sharded, "--finish", "--json"))
    assert (whole["path"], whole["parameters"]) == (f"{path}.index.json", 27)
    assert succeed(*sharded, "--manifest", manifest, "--quiet") == b""
    assert json.loads(succeed(*sharded, "--manifest", manifest, "--json"))["digest"] == whole["digest"]
    path.with_name("w-00001-of-00002.safetensors").unlink()
    failed = run(*sharded, "--finish", "--json")
    assert (failed.returncode, failed.stderr) == (1, b"")
    assert "w-00001-of-00002" in json.loads(failed.stdout)["error"]


@pytest.mark.parametrize("how", [(), ("--quiet",), ("--json",)])
def test_the_folder_of_one_file_is_made(nets: Path, tmp_path: Path, how: tuple[str, ...]) -> None:
    path = tmp_path / "new" / "er" / "w.npz"
    succeed("init", nets / "a.prototxt", "-o", path, *how)
    assert names(path.parent) == ["w.npz"]
