"""`filler verify` as a process."""

import json
from pathlib import Path

from tests.client.cli.command import fail, run, succeed

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 8] } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""


def test_a_file_is_verified_and_what_differs_is_named(tmp_path: Path) -> None:
    net, path = tmp_path / "net.prototxt", tmp_path / "w.npz"
    net.write_text(NET)
    succeed("init", net, "-o", path, "--manifest")
    manifest = tmp_path / "w.npz.manifest.json"
    assert b"2 of 2 tensors are as the manifest has them" in succeed("verify", path)
    succeed("convert", path, tmp_path / "w.safetensors", "--dtype", "f64", "--manifest", tmp_path / "m.json")
    differs = run("verify", tmp_path / "w.safetensors", "--manifest", manifest)
    assert differs.returncode == 1
    assert "ip/0" in differs.stdout.decode()
    assert "float64 in place of float32" in differs.stdout.decode()
    found = run("verify", tmp_path / "w.safetensors", "--manifest", manifest, "--json")
    document = json.loads(found.stdout)
    assert (found.returncode, document["equal"]) == (1, False)
    assert [tensor["finding"] for tensor in document["tensors"]] == ["dtype", "dtype"]
    quiet = run("verify", tmp_path, "--quiet")
    assert (quiet.returncode, quiet.stdout) == (0, b"")


def test_a_manifest_is_not_taken_for_the_net(tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(NET)
    assert "ends in .json" in fail(1, "init", net, "-o", tmp_path / "w.npz", "--manifest", net)
    assert net.read_text() == NET
