"""Names that are too long for what is made of them."""

import pytest
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import LimitExceeded
from filler_server.net.planner import plan_net
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import read_net

PLACES = {
    "net": 'name: "%s"',
    "input": 'input: "%s" input_shape { dim: 1 }',
    "stage": 'state { stage: "%s" }',
    "layer": 'layer { name: "%s" }',
    "type": 'layer { name: "l" type: "%s" }',
    "bottom": 'layer { name: "l" bottom: ["a", "%s"] }',
    "top": 'layer { name: "l" top: "%s" }',
    "parameter": 'layer { name: "l" param { name: "%s" } }',
    "layer of V1": 'layers { name: "%s" }',
    "bottom of V1": 'layers { bottom: "%s" }',
    "top of V1": 'layers { top: "%s" }',
    "parameter of V1": 'layers { param: "%s" }',
    "layer of V0": 'layers { layer { name: "%s" } }',
    "type of V0": 'layers { layer { name: "l" type: "%s" } }',
}


@pytest.mark.parametrize("place", PLACES)
def test_the_longest_name(place: str) -> None:
    text = 'layer { name: "data" type: "Input" top: "a" input_param { shape { dim: 1 } } }\n' + PLACES[place]
    net = text_format.Parse(text % ("n" * 41), NetParameter())
    for file in (text % ("n" * 41), net.SerializeToString()):
        data = file if isinstance(file, bytes) else file.encode()
        with pytest.raises(LimitExceeded, match=r"^over the limit name_length=40\. Received: 41$"):
            read_net(data, limits=ReadLimits(name_length=40))


def test_names_of_a_net_that_was_not_read() -> None:
    net = NetParameter(layer=[{"name": "n" * 5000, "type": "ReLU"}])
    with pytest.raises(LimitExceeded, match=r"name_length=4096\. Received: 5000"):
        plan_net(net)
