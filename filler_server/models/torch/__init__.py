"""Models as modules of PyTorch: a graph becomes source that a person can read, and the entries of its state_dict.

The source is a file with one nn.Module, of ordinary modules, and a `forward` that reads like the prototxt. What Caffe
computes and PyTorch has not is written into the file where it is used, from `parts`, so that the file needs PyTorch
alone. There is one module here for each family of operations, and in it one function for each operation.
"""

from filler_server.models.torch.module import TorchModule, torch_module

__all__ = ["TorchModule", "torch_module"]
