"""Plan, fill and upgrade read a file alike, here and on a server: one net, or one error."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from caffe_filler.errors import FillerError
from filler_client import FillerClient
from tests.processes import ServerProcess

V0 = b"""
name: "v0" input: "data" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 9
layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "data" top: "pad" }
layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 3 weight_filler { type: "xavier" } }
         bottom: "pad" top: "c" }
"""
V1 = b"""
name: "v1"
input: "data"
input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }
layers { name: "c" type: CONVOLUTION blobs_lr: 1 bottom: "data" top: "c"
         convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
"""
V2 = b"""
name: "v2" # a comment
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 4 unheard: 3 } }
"""
FILES = {
    "v0": V0,
    "v1": V1,
    "v2": V2,
    "crlf": V2.replace(b"\n", b"\r\n"),
    "bom": b"\xef\xbb\xbf" + V2,
    "not utf-8 in a comment": V2.replace(b"a comment", b"\xff\xfe"),
    "syntax": V2.replace(b"num_output: 4", b"num_output: four"),
    "given twice": V2.replace(b"num_output: 4", b"num_output: 4 num_output: 5"),
    "unclosed": V2[:-3],
    "unknown V0 type": V0.replace(b'"conv"', b'"convolve"'),
    "html": b"<!DOCTYPE html><html></html>",
    "binary": b"\x00\x01\x02\x03",
    "empty": b"",
}


@pytest.fixture(scope="module")
def clients(server: ServerProcess) -> Iterator[list[FillerClient]]:
    clients = [FillerClient.embedded(), FillerClient(server.address)]
    yield clients
    clients[1].close()


def outcome(call: Callable[[], object]) -> object:
    """Return the result of a call, or what it raises, to compare."""
    try:
        return call()
    except FillerError as error:
        return type(error), str(error), error.metadata


@pytest.mark.parametrize("file", FILES)
def test_one_reader(clients: list[FillerClient], file: str) -> None:
    data = FILES[file]
    plans = [outcome(lambda client=client: client.plan_net(data)) for client in clients]
    upgrades = [outcome(lambda client=client: client.upgrade_net(data)) for client in clients]
    assert plans[0] == plans[1]
    assert upgrades[0] == upgrades[1]
    fills = [outcome(lambda client=client: client.init_net(data, seed=1)) for client in clients]
    if isinstance(plans[0], tuple):
        # What cannot be read is refused by all of them, in the same words.
        assert fills == plans
        assert upgrades == plans
        return
    assert [fill.keys() for fill in fills] == [
        {blob.name: None for layer in plan.layers for blob in layer.blobs}.keys() for plan in plans
    ]
    for name, array in fills[0].items():
        np.testing.assert_array_equal(fills[1][name], array)
    # The upgraded file is the same net, and needs no upgrade.
    upgraded = upgrades[0].file
    replanned = clients[1].plan_net(upgraded)
    assert [(layer.name, layer.type, layer.blobs) for layer in replanned.layers] == [
        (layer.name, layer.type, layer.blobs) for layer in plans[0].layers
    ]
    again = clients[0].upgrade_net(upgraded)
    assert not again.needs_upgrade
    assert again.file == upgraded
