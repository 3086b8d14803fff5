"""Weights for PyTorch, in the tensors where they are needed; needs the extra `torch`.

from filler_client.torch import FillerStorageReader, fill_, initialize_, load_net

report = initialize_(model, "rules.prototxt", seed=1701)            # any sharding, in place, in one request
fill_(weight, 'type: "xavier"', name="proj.weight", seed=1701)       # one tensor or DTensor
print(lint(model, "rules.prototxt"))                                  # declared against measured, any sharding
dcp.load(state, storage_reader=FillerStorageReader(rules, 1701))     # a checkpoint that is not there

net = load_net(Path("deploy.prototxt"), "net.caffemodel")
prob = net(images)["prob"]

assert digest(weight) == client.digest("xavier", (10, 500), name="proj.weight", seed=1701)    # of a DTensor, too
"""

import typing

try:
    import torch  # noqa: F401 - says what is missing before anything else is imported
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"filler_client.torch needs {error.name}: pip install 'caffe-filler[torch]'", name=error.name
    ) from None

from filler_client._rules import RulesLike, rule_set
from filler_client.torch._digest import digest
from filler_client.torch._fill import FlatParameters, fill_, fill_flat_
from filler_client.torch._initialize import initialize_
from filler_client.torch._lint import lint
from filler_client.torch._module import NamePrefix
from filler_client.torch._net import load_net
from filler_client.torch._report import InitEntry, InitReport

if typing.TYPE_CHECKING:
    from filler_client.torch._checkpoint import FillerStorageReader

__all__ = [
    "FillerStorageReader",
    "FlatParameters",
    "InitEntry",
    "InitReport",
    "NamePrefix",
    "RulesLike",
    "digest",
    "fill_",
    "fill_flat_",
    "initialize_",
    "lint",
    "load_net",
    "rule_set",
]


def __getattr__(name: str) -> typing.Any:
    # torch.distributed takes long to import, and not every PyTorch has it.
    if name == "FillerStorageReader":
        from filler_client.torch._checkpoint import FillerStorageReader

        return FillerStorageReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
