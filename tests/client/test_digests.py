"""Digests that a server, or the library in this process, computes in place of sending bytes."""

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crc32c import crc32c

import filler_client
from caffe_filler.errors import DataLoss, FillerError, InvalidArgument, LimitExceeded, UnknownFiller
from caffe_filler.understood import request_checksum
from caffe_filler.v1 import filler_pb2
from filler_client import AsyncFillerClient, Digest, FillerClient, Flat, RetryPolicy, _requests, digest, verify
from filler_client._answer import ExpectedStream
from filler_client._digests import DigestPosition, digest_request
from filler_server.api import requests
from filler_server.api.digests import digest_replies
from filler_server.api.limits import UNLIMITED, Limits
from tests.processes import ServerProcess
from tests.proxy import Proxy

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { name: "w" }
        convolution_param { num_output: 3 kernel_size: 3 pad: 1 bias_term: false weight_filler { type: "msra" } } }
layer { name: "same" type: "Convolution" bottom: "conv" top: "same" param { name: "w" }
        convolution_param { num_output: 3 kernel_size: 3 bias_term: false } }
layer { name: "fc" type: "InnerProduct" bottom: "same" top: "fc"
        inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.1 sparse: 1 } } }
"""


@pytest.fixture(scope="module")
def embedded() -> Any:
    with FillerClient.embedded() as client:
        yield client


@pytest.fixture(scope="module")
def remote(server: ServerProcess) -> Any:
    with FillerClient(server.address, timeout=60) as client:
        yield client


async def asynchronously(address: str) -> tuple[Digest, dict[str, Digest]]:
    async with AsyncFillerClient(address, timeout=60) as client:
        found = {name: value async for name, value in client.digest_net(NET, seed=5)}
        return await client.digest("xavier", (7, 9), seed=5, name="a"), found


def test_every_client_gives_the_digest_of_what_it_fills(
    server: ServerProcess, embedded: FillerClient, remote: FillerClient
) -> None:
    blob = digest(embedded.fill("xavier", (7, 9), seed=5, name="a"))
    net = {name: digest(array) for name, array in embedded.fill_net(NET, seed=5)}
    for client in (embedded, remote):
        assert client.digest("xavier", (7, 9), seed=5, name="a") == blob
        assert dict(client.digest_net(NET, seed=5)) == net
    assert asyncio.run(asynchronously(server.address)) == (blob, net)
    assert net["same/0"] == net["conv/0"]


@pytest.mark.parametrize("options", [{"stream": "caffe"}, {"dtype": "bf16"}, {"dtype": "f64"}], ids=str)
def test_streams_and_dtypes(embedded: FillerClient, remote: FillerClient, options: dict[str, Any]) -> None:
    want = {name: digest(array) for name, array in embedded.fill_net(NET, seed=5, **options)}
    assert dict(remote.digest_net(NET, seed=5, **options)) == want


@pytest.mark.parametrize("filler", ["gaussian", "positive_unitball", "orthogonal", "bilinear"])
def test_the_digests_of_shards_add_up(embedded: FillerClient, remote: FillerClient, filler: str) -> None:
    shape = (4, 6, 6, 6)
    whole = digest(embedded.fill(filler, shape, seed=5, name="a"))
    for regions in (
        [np.s_[0:3, :], np.s_[3:4, :]],
        [np.s_[:, 2:6, 1:4], np.s_[:, 0:2], np.s_[:, 2:6, 4:6], np.s_[:, 2:6, 0:1]],
        [Flat(500), Flat(0, 17), Flat(17, 500), Flat(17, 17)],
    ):
        parts = [remote.digest(filler, shape, seed=5, name="a", region=region) for region in regions]
        assert sum(parts, Digest()) == whole


def test_a_large_blob_is_summed_in_blocks(embedded: FillerClient, remote: FillerClient) -> None:
    shape = (1100, 2003)
    whole = digest(embedded.fill("uniform", shape, seed=5, name="a"))
    assert embedded.digest("uniform", shape, seed=5, name="a") == whole
    columns = [
        remote.digest("uniform", shape, seed=5, name="a", region=np.s_[:, cut]) for cut in (np.s_[:7], np.s_[7:])
    ]
    assert sum(columns, Digest()) == whole


def test_errors_are_those_of_filling(embedded: FillerClient, remote: FillerClient) -> None:
    def fields(call: Callable[[], object], kind: type[FillerError]) -> list[str]:
        with pytest.raises(kind) as caught:
            call()
        return [str(caught.value), *(entry.field for entry in caught.value.violations)]

    both = [
        fields(lambda client=client: client.digest("xavir", (2, 3), name="a"), UnknownFiller)  # type: ignore[misc]
        for client in (embedded, remote)
    ]
    assert both[0] == both[1]
    assert both[0][1] == "fill.blobs[0].filler.type"


def test_a_request_has_a_kind_and_starts_at_a_blob() -> None:
    with pytest.raises(InvalidArgument, match="Received: neither"):
        requests.digest_job(filler_pb2.DigestRequest(), UNLIMITED)
    request = digest_request(_requests.fill_request("xavier", (2, 3), name="a"))
    request.fill.start.offset = 4
    with pytest.raises(InvalidArgument, match=r"start at a whole blob\. Received: offset=4"):
        requests.digest_job(request, UNLIMITED)
    with pytest.raises(LimitExceeded) as caught:
        requests.digest_job(digest_request(_requests.fill_request("xavier", (2, 3))), Limits(request_elements=5))
    assert caught.value.limit == "request_elements"


def messages(request: Any) -> list[filler_pb2.DigestResponse]:
    job = requests.digest_job(digest_request(request), UNLIMITED)
    return list(digest_replies(job, request_checksum(request)))


def request_of(blobs: int) -> filler_pb2.FillRequest:
    request = _requests.fill_request("xavier", (2, 3), name="0")
    for number in range(1, blobs):
        request.blobs.add(name=str(number), shape=request.blobs[0].shape, filler=request.blobs[0].filler)
    return request


def test_what_came_before_a_connection_broke_is_not_asked_for_again() -> None:
    request = request_of(100)
    first, second = messages(request)
    assert (len(first.blobs), len(second.blobs)) == (64, 36)
    position = DigestPosition(ExpectedStream(request))
    found = list(position.read(first.SerializeToString()))
    assert not position.is_complete
    again = digest_request(request)
    position.set_start(again)
    assert again.fill.start.blob == 64
    job = requests.digest_job(again, UNLIMITED)
    for message in digest_replies(job, request_checksum(request)):
        found += position.read(message.SerializeToString())
    position.check_complete()
    assert [entry.header.name for entry in found] == [str(number) for number in range(100)]


def changed(change: Callable[[filler_pb2.DigestResponse], object]) -> bytes:
    (message,) = messages(request_of(2))
    change(message)
    return message.SerializeToString()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (changed(lambda reply: setattr(reply.blobs[1], "low", 7)), "digest of blob '1' is not the one that was sent"),
        (changed(lambda reply: setattr(reply.blobs[1], "blob", 5)), "digest of blob 1 should follow"),
        (changed(lambda reply: setattr(reply.blobs[1].header, "name", "x")), "blob 1 was asked for as"),
        (changed(lambda reply: setattr(reply.blobs[0].header, "request_crc32c", 1)), "answers another request"),
        (changed(lambda reply: setattr(reply.header, "blobs", 3)), "2 blobs were asked for"),
        (changed(lambda reply: reply.blobs.append(reply.blobs[1])), "Received: blob 1 after the last one"),
        (changed(lambda reply: reply.ClearField("blobs")), "the stream ended after 0 of 2 blobs"),
        (changed(lambda reply: reply.blobs.pop()), "the stream ended after 1 of 2 blobs"),
        (b"\xff" * 40, "is not a DigestResponse"),
        (b"\x0a\x00" * (1 << 17), "at most 65536 fields"),
        (bytes(5 << 20), "at most 4194304 bytes"),
    ],
)
def test_what_was_not_asked_for_is_data_loss(message: bytes, error: str) -> None:
    position = DigestPosition(ExpectedStream(request_of(2)))
    with pytest.raises(DataLoss, match=error):
        list(position.read(message))
        position.check_complete()


def test_the_checksum_is_over_both_sums() -> None:
    (entry, _) = messages(request_of(2))[0].blobs
    assert entry.crc32c == crc32c(struct.pack("<QQ", entry.low, entry.high))


def test_a_broken_connection_is_not_noticed(server: ServerProcess, embedded: FillerClient) -> None:
    cut = [True, True]

    def damage(data: bytes, passed: int) -> bytes | None:
        return None if passed and cut and cut.pop() else data

    with Proxy(server.address, damage) as proxy, FillerClient(proxy.address, retry=RetryPolicy()) as client:
        assert dict(client.digest_net(NET, seed=5)) == dict(embedded.digest_net(NET, seed=5))
        assert proxy.connections > 1


@pytest.mark.parametrize("names", ["caffe", "torch"])
def test_a_server_verifies_a_file(embedded: FillerClient, remote: FillerClient, tmp_path: Path, names: Any) -> None:
    path = tmp_path / "w.safetensors"
    embedded.save_net(NET, path, seed=5, names=names)
    found = verify(path, client=remote)
    assert (found.is_equal, found.computed, len(found.tensors)) == (True, 4, 4)
    # The file and its manifest are of one another, and not of this seed.
    with filler_client.open_weights(path) as weights:
        manifest = weights.metadata["caffe_filler.manifest"]
    other = tmp_path / "m.json"
    other.write_text(manifest.replace('"seed":5', '"seed":6'))
    found = verify(path, other, client=remote)
    assert [one.finding for one in found.tensors if one.name.startswith(("conv", "same"))] == ["differs", "differs"]


def test_caffes_numbers_need_the_net(embedded: FillerClient, remote: FillerClient, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    embedded.save_net(NET, path, seed=5, stream="caffe")
    with pytest.raises(InvalidArgument, match="run through a whole net, and net names it"):
        verify(path, client=remote)
    with pytest.raises(InvalidArgument, match="is of a net of SHA-256"):
        verify(path, client=remote, net=NET + " ")
    found = verify(path, client=remote, net=NET)
    assert (found.is_equal, found.computed) == (True, 4)


def test_what_nobody_filled_is_not_computed(embedded: FillerClient, tmp_path: Path) -> None:
    weights, path = tmp_path / "a.npz", tmp_path / "w.safetensors"
    np.savez(weights, **{"fc/0": np.zeros((2, 108), np.float32), "fc/1": np.ones(2, np.float32)})
    embedded.save_net(NET, path, weights=weights, seed=5)
    found = verify(path, client=embedded)
    assert (found.is_equal, found.computed, len(found.tensors)) == (True, 2, 4)
    with pytest.raises(InvalidArgument, match="does not say how the values were filled"):
        verify(
            tmp_path / "c.safetensors",
            filler_client.convert(path, tmp_path / "c.safetensors").manifest,
            client=embedded,
        )


def test_a_manifest_that_asks_for_more_than_the_file_has_is_refused(embedded: FillerClient, tmp_path: Path) -> None:
    path, other = tmp_path / "w.safetensors", tmp_path / "m.json"
    embedded.save_net(NET, path, seed=5)
    with filler_client.open_weights(path) as weights:
        manifest = weights.metadata["caffe_filler.manifest"]
    other.write_text(
        manifest.replace('"blob":{"name":"fc/1","shape":[2]}', '"blob":{"name":"fc/1","shape":[2000000000]}')
    )
    with pytest.raises(InvalidArgument, match="tensor 'fc/1': the manifest contradicts itself"):
        verify(path, other, client=embedded)
