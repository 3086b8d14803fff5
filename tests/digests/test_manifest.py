"""Manifests: what is written is read back, and nothing else is read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument
from filler_server.digests import Blob, Digest, Draft, Entry, Fill, Manifest, read_manifest
from filler_server.digests.manifest import joined
from filler_server.tensors import ArrayTensor

FILL = Fill("ab" * 32, "TEST", 1, ("deploy",), 1701, "philox", 1, "float32", "caffe", {"inputs": {"data": [1, None]}})
ENTRY = Entry("float32", (2, 3), Digest(1, 2), 'type: "xavier"', Blob("ip/0", (2, 3)), "a.safetensors")
MANIFEST = Manifest("caffe-filler 1.0", {"ip/0": ENTRY, "größe\n": Entry("bfloat16", (), Digest())}, FILL)


@pytest.mark.parametrize("in_lines", [False, True])
@pytest.mark.parametrize("manifest", [MANIFEST, replace(MANIFEST, fill=None, tensors={})])
def test_round_trip(manifest: Manifest, in_lines: bool) -> None:
    assert Manifest.parse(manifest.text(in_lines=in_lines)) == manifest


def changed(*path: str, value: Any = None) -> str:
    """Return a manifest with one value in place of another; None takes it away."""
    document = json.loads(MANIFEST.text())
    *folders, last = path
    inner = document
    for name in folders:
        inner = inner[name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a manifest is a JSON object"),
        ("[]", "version 1. Received: manifest=None"),
        ('{"manifest": 1, "manifest": 1}', "a name stands there twice"),
        ("[" * 100_000, "a manifest is a JSON object"),
        ('{"manifest": ' + "9" * 10_000 + "}", "a manifest is a JSON object"),
        (changed("manifest", value=2), "version 1. Received: manifest=2"),
        (changed("digest", value=2), "contract 1. Received: digest=2"),
        (changed("manifest", value=True), "version 1. Received: manifest=True"),
        (changed("digest", value=1.0), "contract 1. Received: digest=1.0"),
        (changed("library"), "lacks library"),
        (changed("libary", value="a"), r"no key of this name \(did you mean 'library'\?\). Received: libary"),
        (changed("tensors", value=[]), "tensors is a JSON object"),
        (changed("tensors", "ip/0", "digest", value="00"), "tensor 'ip/0': a digest is 32"),
        (changed("tensors", "ip/0", "digest", value=7), "tensor 'ip/0': a digest is 32"),
        (changed("tensors", "ip/0", "shape", value=[-1]), "a shape is a list"),
        (changed("tensors", "ip/0", "shape", value=[True]), "a shape is a list"),
        (changed("tensors", "ip/0", "shape", value=[1] * 65), "a shape is a list"),
        (changed("tensors", "ip/0", "shape", value=[1 << 70]), "a shape is a list"),
        (changed("tensors", "ip/0", "blob", "name"), "lacks name"),
        (changed("tensors", "ip/0", "file", value="../a"), "lies beside"),
        (changed("tensors", "ip/0", "file", value=".."), "lies beside"),
        (changed("fill", "seed", value="1"), "seed is a whole number"),
        (changed("fill", "stages", value="deploy"), "stages are a list"),
    ],
)
def test_what_is_not_a_manifest_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=message) as caught:
        read_manifest(path)
    assert caught.value.file == str(path)
    assert len(str(caught.value)) < 600


def test_the_digest_of_all_tensors_is_of_names_and_values_alone() -> None:
    one, two = replace(ENTRY, digest=Digest(1, 2)), replace(ENTRY, digest=Digest(3, 4))
    whole = replace(MANIFEST, tensors={"a": one, "b": two})
    moved = {"b": replace(two, file="other", filler=None, blob=None), "a": one}
    assert whole.digest == Manifest("another", moved).digest == "e2720338be9ff724d839de007fee84c5"
    for tensors in ({"a": two, "b": one}, {"a": one}, {"a": one, "b": replace(two, shape=(3, 2))}):
        assert replace(whole, tensors=tensors).digest != whole.digest


def test_a_draft_has_the_length_of_the_manifest() -> None:
    draft = Draft("caffe-filler 1.0", FILL, {"a": ('type: "msra"', Blob("a", (3,)))})
    draft.begin([ArrayTensor(name, np.zeros(3, np.float32)) for name in ("a", "b")])
    before = draft.metadata(["a", "b"])
    draft.note("a", Digest(5, 6))
    after = draft.metadata(["a", "b"])
    assert before != after
    assert {key: len(text) for key, text in before.items()} == {key: len(text) for key, text in after.items()}
    found = draft.manifest({"a": "one", "b": "two"})
    assert (found.tensors["a"].digest, found.tensors["b"].file) == (Digest(5, 6), "two")


def test_the_manifests_of_a_set_become_one() -> None:
    one, two = (replace(MANIFEST, tensors={name: ENTRY}) for name in ("a", "b"))
    assert Manifest.parse(joined([one.text(), two.text()])).tensors == {"a": ENTRY, "b": ENTRY}
    with pytest.raises(InvalidArgument, match="come from one run"):
        joined([one.text(), replace(two, library="another").text()])
