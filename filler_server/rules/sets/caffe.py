"""`caffe`: the fillers of a net, under the names that its tensors have in PyTorch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import NetError
from caffe_filler.v1.rules_pb2 import InitRule, InitRules
from filler_server.fillers import get_filler
from filler_server.fillers.variance_scaling import VarianceScaling
from filler_server.layouts.torch import modules
from filler_server.net.plan import Blob, NetPlan
from filler_server.rules.assignment import by_fan_of
from filler_server.rules.patterns import literal
from filler_server.rules.rules import Rules
from filler_server.tensors import Tensor, View


def caffe(plan: NetPlan) -> Rules:
    """Return rules that fill a module as `filler init --names torch` fills a file for it.

    Each tensor has a rule of its own, with the random numbers of its blob: the values are those of the net itself.

    Raises:
        NetError: the shape of a blob is not known, its values stand in the net, or PyTorch has them in another order.
        InvalidArgument: PyTorch has no module that computes what a layer does.
    """
    blobs = {blob.name: blob for blob in plan.blobs}
    filled = {blob.name: _Filled(blob, blobs[blob.owner or blob.name]) for blob in plan.blobs}
    message = InitRules()
    for module in modules(plan.layers, list(filled.values())):
        for tensor in module.to_torch([filled[blob.name] for blob in module.blobs]):
            message.rule.append(_rule(tensor))
    return Rules(message)


class _Filled(Tensor):
    """A blob that its filler will fill; only values that are all the same can be read.

    Attributes:
        source: the blob whose filler fills it.
    """

    def __init__(self, blob: Blob, source: Blob) -> None:
        shape = blob.known_shape
        if shape is None:
            raise NetError(f"the shape of blob '{blob.name}' is not known: {blob.unknown}")
        if source.given:
            raise NetError(f"the values of blob '{blob.name}' stand in the net, and no rule has them")
        super().__init__(blob.name, shape, np.dtype(np.float32))
        self.source = source

    def read(self, start: int, out: NDArray[Any]) -> None:
        filler = self.source.filler
        if filler.type != "constant":
            raise NetError(
                f"blob '{self.name}' has its values in another order in PyTorch, which no rule says; "
                "save_net(names='torch') writes them"
            )
        out[...] = filler.value


def _rule(tensor: Tensor) -> InitRule:
    base = tensor
    while isinstance(base, View):
        base = base.base
    if not isinstance(base, _Filled):
        # Made of constants, or of what cannot be read.
        value = np.empty(1, tensor.dtype)
        base.read(0, value)
        return InitRule(name=[literal(tensor.name)], filler=FillerParameter(type="constant", value=float(value[0])))
    filler, shape = base.source.filler, base.source.known_shape
    if shape is not None and shape != tensor.shape and isinstance(get_filler(filler), VarianceScaling):
        filler = by_fan_of(filler, shape)
    return InitRule(name=[literal(tensor.name)], filler=filler, stream=base.source.name)
