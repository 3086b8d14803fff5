from typing import Any

import numpy as np
import pytest

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.errors import FillerError, LimitExceeded, RegionError, ShapeError, UnknownBlob
from caffe_filler.v1 import filler_pb2
from filler_server.api.limits import Limits
from filler_server.api.requests import fill_job, fill_net_job, plan_reply

LIMITS = Limits()
GOOD = filler_pb2.BlobSpec(filler=FillerParameter(type="msra"), shape=BlobShape(dim=[4, 3]), name="a")
OUTSIDE = filler_pb2.Region(flat=filler_pb2.Range(start=0, stop=13))
NET = b"""
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer {
  name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 1e6 } }
}
"""


def blob(**fields: Any) -> filler_pb2.BlobSpec:
    """A good specification with some fields changed."""
    spec = filler_pb2.BlobSpec()
    spec.CopyFrom(GOOD)
    for name in fields:
        spec.ClearField(name)
    spec.MergeFrom(filler_pb2.BlobSpec(**fields))
    return spec


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (blob(shape=BlobShape(dim=[4, 0])), "blobs[1].shape"),
        (blob(region=OUTSIDE), "blobs[1].region"),
        (blob(filler=FillerParameter(type="gauss")), "blobs[1].filler.type"),
        (blob(filler=FillerParameter(type="gaussian", std=-1)), "blobs[1].filler.std"),
        (blob(filler=FillerParameter(type="gaussian", sparse=-2)), "blobs[1].filler.sparse"),
        (blob(filler=FillerParameter(type="bilinear")), "blobs[1].shape"),
        (blob(axes=filler_pb2.FanAxes(inputs=[2])), "blobs[1].axes.inputs"),
        (blob(axes=filler_pb2.FanAxes(outputs=[-1])), "blobs[1].axes.outputs"),
        (blob(axes=filler_pb2.FanAxes(inputs=[0], stacks=[0])), "blobs[1].axes.stacks"),
        (blob(axes=filler_pb2.FanAxes(inputs=[0, 1], outputs=[0, 1])), "blobs[1].axes"),
        (
            blob(filler=FillerParameter(type="positive_unitball"), axes=filler_pb2.FanAxes(inputs=[0], outputs=[1])),
            "blobs[1].axes",
        ),
        (
            blob(filler=FillerParameter(type="dirac"), axes=filler_pb2.FanAxes(inputs=[0], outputs=[1])),
            "blobs[1].shape",
        ),
    ],
)
def test_violations_name_the_field_of_the_request(bad: filler_pb2.BlobSpec, field: str) -> None:
    with pytest.raises(FillerError) as caught:
        fill_job(filler_pb2.FillRequest(blobs=[GOOD, bad]), LIMITS)
    assert [violation.field for violation in caught.value.violations] == [field]


def test_values_that_do_not_fit_are_about_the_dtype_of_the_request() -> None:
    wide = blob(filler=FillerParameter(type="gaussian", std=1e6))
    with pytest.raises(FillerError, match="float16 ends at 65504") as caught:
        fill_job(filler_pb2.FillRequest(blobs=[wide], dtype=filler_pb2.FLOAT16), LIMITS)
    assert [violation.field for violation in caught.value.violations] == ["dtype"]


def net_request(*blobs: Any, **fields: Any) -> filler_pb2.FillNetRequest:
    return filler_pb2.FillNetRequest(net=filler_pb2.PlanNetRequest(net=NET), blobs=blobs, **fields)


def test_a_region_outside_a_blob_of_a_net() -> None:
    request = net_request({"name": "ip/0"}, {"name": "ip/1", "region": OUTSIDE})
    with pytest.raises(RegionError) as caught:
        fill_net_job(request, LIMITS)
    assert [violation.field for violation in caught.value.violations] == ["blobs[1].region"]


def test_a_blob_that_the_net_does_not_have() -> None:
    with pytest.raises(UnknownBlob, match=r"no blob of this name \(did you mean 'ip/0'\?\). Received: name='ip/00'"):
        fill_net_job(net_request({"name": "ip/00"}), LIMITS)


def test_no_selection_is_everything() -> None:
    assert [tensor.name for tensor in fill_net_job(net_request(), LIMITS).tensors] == ["ip/0", "ip/1"]


def test_what_one_request_may_ask_for() -> None:
    small = Limits(request_bytes=47, request_blobs=2, net_bytes=len(NET) - 1)
    with pytest.raises(LimitExceeded, match=r"over the limit request_bytes=47. Received: 48"):
        fill_job(filler_pb2.FillRequest(blobs=[GOOD]), small)
    with pytest.raises(LimitExceeded, match=r"over the limit request_blobs=2. Received: 3") as caught:
        fill_job(filler_pb2.FillRequest(blobs=[GOOD] * 3), small)
    assert caught.value.metadata == {"limit": "request_blobs", "value": "2", "received": "3"}
    with pytest.raises(LimitExceeded, match=r"over the limit net_bytes="):
        fill_net_job(net_request(), small)
    with pytest.raises(LimitExceeded, match=r"over the limit request_blobs=1. Received: 2"):
        fill_net_job(net_request(), Limits(request_blobs=1))
    region = filler_pb2.Region(flat=filler_pb2.Range(start=2, stop=10))
    (tensor,) = fill_job(filler_pb2.FillRequest(blobs=[blob(region=region)]), small).tensors
    assert tensor.nbytes == 32


def test_a_blob_without_a_shape_is_one_value() -> None:
    constant = blob(filler=FillerParameter(type="constant", value=2.5), shape=BlobShape())
    (tensor,) = fill_job(filler_pb2.FillRequest(blobs=[constant]), LIMITS).tensors
    out = np.empty(1, np.float32)
    tensor.read(0, out)
    assert out.tolist() == [2.5]


@pytest.mark.parametrize("dim", [[-2, 3], [2**40, 2**40, 2**40], [1] * 33])
def test_declared_shapes_that_no_blob_can_have(dim: list[int]) -> None:
    request = net_request()
    request.net.inputs.add(name="data").shape.dim.extend(dim)
    with pytest.raises(ShapeError, match="Received: "):
        fill_net_job(request, LIMITS)


def test_headers_of_long_names() -> None:
    """Of a short selection the header has the names of the blob and of its owner."""
    owner = "o" * 4000
    net = f'''
    layer {{ name: "d" type: "Input" top: "d" input_param {{ shape {{ dim: [1, 1] }} }} }}
    layer {{ name: "{owner}" type: "Bias" bottom: "d" top: "d" param {{ name: "p" }} }}
    layer {{ name: "s" type: "Bias" bottom: "d" top: "d" param {{ name: "p" }} }}
    '''
    request = filler_pb2.FillNetRequest(net=filler_pb2.PlanNetRequest(net=net.encode()), blobs=[{"name": "s/0"}] * 5000)
    with pytest.raises(LimitExceeded, match=r"over the limit plan_bytes=\d+\. Received: 20025000"):
        fill_net_job(request, Limits(plan_bytes=1 << 20))
    assert len(fill_net_job(request, Limits(plan_bytes=64 << 20)).tensors) == 5000


LONG = b"""
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1000 } } }
layer {
  name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 1 weight_filler { type: "uniform" } }
}
"""


def last_value(times: int) -> list[filler_pb2.BlobSelection]:
    region = filler_pb2.Region(flat=filler_pb2.Range(start=999, stop=1000))
    return [filler_pb2.BlobSelection(name="ip/0", region=region)] * times


def test_a_blob_of_caffe_s_stream_is_paid_each_time_that_it_is_selected() -> None:
    net = filler_pb2.PlanNetRequest(net=LONG)

    def job(times: int) -> int:
        request = filler_pb2.FillNetRequest(net=net, stream=filler_pb2.CAFFE, blobs=last_value(times))
        return len(fill_net_job(request, Limits(sequential_elements=4001)).tensors)

    # What the net draws, and the blob once for each.
    assert job(3) == 3
    with pytest.raises(LimitExceeded, match=r"over the limit sequential_elements=4001\. Received: 5001"):
        job(4)


def test_row_sums_of_a_net_are_paid() -> None:
    net = filler_pb2.PlanNetRequest(net=LONG.replace(b"uniform", b"positive_unitball"))
    request = filler_pb2.FillNetRequest(net=net, blobs=last_value(3))
    assert len(fill_net_job(request, Limits(sequential_elements=3000)).tensors) == 3
    with pytest.raises(LimitExceeded, match=r"over the limit sequential_elements=2999\. Received: 3000"):
        fill_net_job(request, Limits(sequential_elements=2999))
    plain = filler_pb2.FillNetRequest(net=filler_pb2.PlanNetRequest(net=LONG), blobs=last_value(3))
    assert len(fill_net_job(plain, Limits(sequential_elements=1)).tensors) == 3


@pytest.mark.parametrize("draws", [False, True])
def test_a_timestep_is_paid_however_little_it_draws(draws: bool) -> None:
    net = b"""
    layer { name: "d" type: "Input" top: "d" top: "c"
      input_param { shape { dim: [1000000, 1, 1] } shape { dim: [1000000, 1] } } }
    layer { name: "r" type: "RNN" bottom: "d" bottom: "c" top: "r"
      recurrent_param { num_output: 1 weight_filler { type: "uniform" } } }
    """
    limits = Limits(sequential_elements=10**9)
    with pytest.raises(LimitExceeded, match=r"over the limit sequential_elements=1000000000\. Received: 2457"):
        if draws:
            plan_reply(filler_pb2.PlanNetRequest(net=net, draws={"stream": filler_pb2.CAFFE}), limits)
        else:
            plan = filler_pb2.PlanNetRequest(net=net)
            fill_net_job(filler_pb2.FillNetRequest(net=plan, stream=filler_pb2.CAFFE), limits)
