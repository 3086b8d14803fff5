"""PyTorch's in-place random numbers and its initializers."""

from collections.abc import Callable

import torch

from tests.benchmarks.peers.buffers import buffer


def about() -> str:
    """Return the version, and the instruction set of its kernels."""
    return f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"


def prepare(work: str, nbytes: int, threads: int) -> Callable[[], object]:
    """`normal_`, `uniform_`, `kaiming_normal_` or `xavier_uniform_` of a tensor with rows of 1024."""
    torch.set_num_threads(threads)
    tensor = torch.from_numpy(buffer(nbytes)).view(-1, 1024)
    torch.manual_seed(1701)
    works: dict[str, Callable[[], object]] = {
        "normal_": lambda: tensor.normal_(0.0, 0.01),
        "uniform_": lambda: tensor.uniform_(-0.01, 0.01),
        "kaiming_normal_": lambda: torch.nn.init.kaiming_normal_(tensor),
        "xavier_uniform_": lambda: torch.nn.init.xavier_uniform_(tensor),
    }
    return works[work]
