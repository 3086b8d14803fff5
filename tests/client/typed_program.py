"""A program as users write it: `make types` checks it as strictly as theirs may be, and a test runs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

from filler_client import (
    BlobSpec,
    Digest,
    FillerClient,
    FillerError,
    Findings,
    Flat,
    NetPlan,
    SavedNet,
    UnknownFiller,
    Verification,
    convert,
    digest,
    lint,
    run,
    verify,
)


def fill(client: FillerClient) -> NDArray[Any]:
    """Fill a blob, regions of it, and several at once."""
    weight = assert_type(client.fill('type: "msra"', (4, 3), seed=7, name="a/0", dtype="f32"), NDArray[Any])
    top = client.fill("msra", (4, 3), seed=7, name="a/0", region=np.s_[:2, :])
    flat = client.fill("msra", [4, 3], seed=7, name="a/0", region=Flat(0, 6))
    several = client.fill_many([BlobSpec("msra", (4, 3), "a/0")], seed=7)
    whole = assert_type(client.digest("msra", (4, 3), seed=7, name="a/0"), Digest)
    assert whole == digest(weight)
    assert (several[0] == weight).all()
    assert (top.ravel() == flat).all()
    return weight


def fill_net(client: FillerClient, net: Path, folder: Path) -> None:
    """Plan, fill, save, verify, convert and compute a net."""
    plan = assert_type(client.plan_net(net, phase="TEST"), NetPlan)
    shapes = {blob.name: blob.shape for layer in plan.layers for blob in layer.blobs}
    values = assert_type(client.fill_net(net, seed=1), Iterator[tuple[str, NDArray[Any]]])
    assert {name: value.shape for name, value in values} == shapes
    assert_type(client.save_net(net, folder / "w.safetensors", seed=1), SavedNet)
    assert assert_type(verify(folder / "w.safetensors"), Verification).is_equal
    convert(folder / "w.safetensors", folder / "w.npz")
    tops = run(net, folder / "w.npz", {"data": np.zeros((64, 1, 28, 28), np.float32)})
    assert assert_type(tops["prob"], NDArray[Any]).shape == (64, 10)
    assert all(finding.severity != "error" for finding in assert_type(lint(net), Findings))


def refuse(client: FillerClient) -> str:
    """Return what an error says; a type checker refuses what cannot be meant."""
    try:
        client.fill("msr", (4, 3), name="a/0")
    except UnknownFiller as error:
        return str(error)
    try:
        client.fill("msra", (4, 3), sede=7)  # type: ignore[call-arg]
        client.fill("msra", (4, 3), seed="7")  # type: ignore[arg-type]
        client.plan_net(net=3)  # type: ignore[arg-type]
    except FillerError:
        pass
    raise AssertionError


def main(net: Path, folder: Path) -> None:
    """Do all of it in this process."""
    with FillerClient.embedded() as client:
        fill(client)
        fill_net(client, net, folder)
        assert "msra" in refuse(client)
