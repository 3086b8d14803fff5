"""Nets of Caffe as modules of PyTorch."""

import hashlib
import linecache
from typing import TYPE_CHECKING, Any, Unpack

import torch

from filler_client._models import ModelOptions, ModelWeights, open_model
from filler_client._options import takes_options
from filler_client._requests import NetLike

if TYPE_CHECKING:
    from filler_server.models.torch import TorchModule


@takes_options(ModelOptions)
def load_net(net: NetLike, weights: ModelWeights = None, **options: Unpack[ModelOptions]) -> torch.nn.Module:
    """Return a net of Caffe with its weights as a module of PyTorch: that which `filler export` writes as source.

    It takes the inputs of the net, in its order, as tensors in Caffe's shapes, and returns a dict with the tops that no
    layer reads, or those of `tops`, by their names. Inputs that the net fills with constants are no arguments. Labels
    may be of any type. Its parameters are of float32, whatever the file has. Their names in its state_dict are those of
    `convert(..., names="torch")`.

    In the phase TEST it is in eval mode and computes what Caffe does in that phase. For training there is
    `phase="TRAIN"`: the module is in train mode, with dropout and batch statistics, and `net.loss(outputs)` is the sum
    of the losses by their weights. In both, `train()` and `eval()` switch as PyTorch has it.

    Args:
        net: prototxt text, the bytes or path of a file, or a NetParameter; of a .caffemodel also its weights are taken
            where no others are given.
        weights: files of any format that is read, or arrays by the names of blobs.
        options: those of `ModelOptions`.

    Raises:
        NetError: the net cannot be set up, or PyTorch has no counterpart of some of its layers.
        InvalidArgument: the weights do not fit the net or lack blobs that it needs, or a top is none of the net.
        FillerError: a file cannot be read.
        OSError: likewise.

    Example:
        net = load_net(Path("train_val.prototxt"), "net.caffemodel", phase="TRAIN", inputs={"data": (32, 3, 227, 227)})
        optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
        net.loss(net(images, labels)).backward()
    """
    from filler_server.models.constants import with_constants
    from filler_server.models.sources import constant_inputs
    from filler_server.models.torch import torch_module

    with open_model(net, weights, **options) as model:
        graph = with_constants(model.graph, constant_inputs(model.plan))
        written = torch_module(graph, training=model.plan.phase == "TRAIN")
        module = _executed(written)
        _fill(module, written)
    return module


def _executed(written: "TorchModule") -> torch.nn.Module:
    """Return an instance of the class that a source defines; debuggers and tracebacks see the source."""
    source = written.source()
    name = hashlib.sha256(source.encode()).hexdigest()[:16]
    file = f"<{written.name} {name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": f"{__name__}.net_{name}", "__file__": file}
    exec(compile(source, file, "exec"), namespace)  # noqa: S102 - it is our own
    # Where it is filled, whatever the default device.
    with torch.device("cpu"):
        module: torch.nn.Module = namespace[written.name]()
    return module


def _fill(module: torch.nn.Module, written: "TorchModule") -> None:
    """Write tensors to the parameters and buffers that have their names."""
    from filler_server.tensors import cast

    state = module.state_dict()
    for tensor in written.tensors:
        values = state[tensor.name].numpy().reshape(-1)
        cast(tensor, values.dtype).read(0, values)
