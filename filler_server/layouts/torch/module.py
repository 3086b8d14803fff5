"""A module of PyTorch, and the blobs of Caffe that it holds."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from math import prod

from filler_server.net.plan import Blob, Layer
from filler_server.tensors import Tensor, renamed, reshaped, transposed

NAMES = {
    "weight": "weight",
    "scale": "weight",
    "slope": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
"""By the role of a blob, what PyTorch's modules call it; others keep the name of their role."""

_VECTORS = ("scale", "slope", "bias", "mean", "variance")


class Mismatch(Exception):
    """Tensors of a state_dict that a module has only a part of, or no place for."""


class Module(ABC):
    """A module.

    Attributes:
        name: its name, that of the layer.
        blobs: the blobs that it holds, of one layer or of two.
        notes: what a user of the state_dict must know besides, to be read after the name.
    """

    def __init__(self, name: str, blobs: Sequence[Blob]) -> None:
        self.name = name
        self.blobs = tuple(blobs)
        self.notes: list[str] = []

    @abstractmethod
    def to_torch(self, blobs: Sequence[Tensor]) -> list[Tensor]:
        """Return the entries of the state_dict from the tensors of `blobs`, in their order.

        Raises:
            InvalidArgument: PyTorch has no module that computes this.
        """

    @abstractmethod
    def from_torch(self, state: Mapping[str, Tensor]) -> tuple[list[Tensor], list[str]] | None:
        """Return the tensors of `blobs`, and the names that they were taken from; None where it has none of them.

        Args:
            state: entries of the state_dict by their names.

        Raises:
            Mismatch: it has only some of them, or others that the layer has no place for.
        """


class Plain(Module):
    """A layer each of whose blobs is a parameter of the module, perhaps a matrix that is turned.

    Attributes:
        parameters: names of the entries, in the order of the blobs.
        turns: whether the first of these is the blob as a matrix turned.
    """

    def __init__(self, name: str, layer: Layer, roles: Sequence[str]) -> None:
        super().__init__(name, layer.blobs)
        self._type = layer.type
        self._roles = roles or [f"blob{index}" for index in range(len(layer.blobs))]
        self.parameters = [f"{name}.{NAMES.get(role, role)}" for role in self._roles]
        self.turns = layer.type == "InnerProduct" and layer.parameter.inner_product_param.transpose
        if layer.type == "Embed" and "bias" in self._roles:
            self.notes.append("is an Embed with a bias, for which torch.nn.Embedding has no place")

    def to_torch(self, blobs: Sequence[Tensor]) -> list[Tensor]:
        """Return the blobs under the names of the parameters; vectors have one axis there.

        A scalar of Scale or Bias, for which PyTorch has no module, stays one.
        """
        return [
            renamed(self._as_vector(tensor) if role in _VECTORS else self._turned(role, tensor), name)
            for role, tensor, name in zip(self._roles, blobs, self.parameters, strict=True)
        ]

    def from_torch(self, state: Mapping[str, Tensor]) -> tuple[list[Tensor], list[str]] | None:
        """Return the parameters as blobs."""
        if not any(name in state for name in self.parameters):
            return None
        check_all(self.parameters, state)
        turned = (self._turned(role, state[name]) for role, name in zip(self._roles, self.parameters, strict=True))
        return [as_blob(tensor, blob) for tensor, blob in zip(turned, self.blobs, strict=True)], self.parameters

    def _as_vector(self, tensor: Tensor) -> Tensor:
        return tensor if self._type in ("Scale", "Bias") and not tensor.shape else as_vector(tensor)

    def _turned(self, role: str, tensor: Tensor) -> Tensor:
        matrix = as_matrix(tensor) if self._type == "InnerProduct" and role == "weight" else tensor
        return transposed(matrix) if self.turns and role == "weight" and len(matrix.shape) == 2 else matrix


def as_vector(tensor: Tensor) -> Tensor:
    """Return a tensor whose axes but one are 1 with that axis alone; one value becomes a vector, too."""
    return reshaped(tensor, (tensor.count,)) if tensor.count == max(tensor.shape, default=1) else tensor


def as_matrix(tensor: Tensor) -> Tensor:
    """Return a tensor without the axes of 1 before the last two, which matrices have in nets of Caffe's first form."""
    before = tensor.shape[:-2]
    return reshaped(tensor, tensor.shape[-2:]) if before and set(before) == {1} else tensor


def as_blob(tensor: Tensor, blob: Blob) -> Tensor:
    """Return a tensor under the name of a blob, in its shape where they differ in axes of 1 only."""
    known = [dim for dim in blob.shape or () if dim is not None]
    whole = blob.shape is not None and len(known) == len(blob.shape) and prod(known) == tensor.count
    if whole and [dim for dim in known if dim != 1] == [dim for dim in tensor.shape if dim != 1]:
        tensor = reshaped(tensor, known)
    return renamed(tensor, blob.name)


def check_all(names: Sequence[str], state: Mapping[str, Tensor]) -> None:
    """Make sure that a state_dict has all of some names.

    Raises:
        Mismatch: it has not.
    """
    missing = [name for name in names if name not in state]
    if missing:
        found = [name for name in names if name in state]
        has = f"has {quoted(found)}, but not" if found else "lacks"
        raise Mismatch(f"the file {has} {quoted(missing)}")


def quoted(names: Iterable[str]) -> str:
    """Return names as they stand in a message."""
    return ", ".join(f"'{name}'" for name in names)
