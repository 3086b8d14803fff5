"""LSTM and RNN: PyTorch's modules of one layer and one direction, and the order of their gates."""

from collections.abc import Mapping, Sequence

from caffe_filler.errors import InvalidArgument
from filler_server.layouts.torch.module import Mismatch, Module, as_blob, check_all
from filler_server.net.plan import Layer
from filler_server.tensors import Tensor, combined, constant, renamed, spliced

_GATES = (0, 1, 3, 2)
"""Caffe's gates are i, f, o, g and PyTorch's i, f, g, o; the same exchange leads back."""

_ROLES = {
    ("W_xc", "b_c", "W_hc"): ("input", "bias", "hidden"),
    ("W_xh", "b_h", "W_hh", "W_ho", "b_o"): ("input", "bias", "hidden", "output", "output_bias"),
    ("input_weight", "hidden_weight", "bias"): ("input", "hidden", "bias"),
}
"""By the roles of the blobs of LSTM, RNN and the forks' Lstm, what they are to PyTorch."""

_STATIC_ROLES = {
    ("W_xc", "b_c", "W_xc_static", "W_hc"): ("input", "bias", "static", "hidden"),
    ("W_xh", "b_h", "W_xh_static", "W_hh", "W_ho", "b_o"): (
        "input",
        "bias",
        "static",
        "hidden",
        "output",
        "output_bias",
    ),
}
"""Likewise, of layers with a static input."""

_WEIGHTS = {
    "input": "weight_ih_l0",
    "hidden": "weight_hh_l0",
    "static": "weight_static_l0",
    "output": "weight_ho_l0",
    "output_bias": "bias_ho_l0",
}
_BIASES = ("bias_ih_l0", "bias_hh_l0")


class Recurrent(Module):
    """An LSTM or RNN as `torch.nn.LSTM` and `torch.nn.RNN` have it.

    Caffe has one bias, PyTorch two that it adds: the second one is 0. Caffe's RNN goes on with another matrix, bias and
    tanh, which torch.nn.RNN does not have; they are called `weight_ho_l0` and `bias_ho_l0`.

    A static input has no parameter in PyTorch, so that such a layer is refused.

    Args:
        name: name of the layer.
        layer: the layer.
        roles: what its blobs are.
        computing: whether a static input has a weight nevertheless.
    """

    def __init__(self, name: str, layer: Layer, roles: tuple[str, ...], *, computing: bool = False) -> None:
        super().__init__(name, layer.blobs)
        self._type = layer.type
        self._caffe = roles
        known = _ROLES | _STATIC_ROLES if computing else _ROLES
        self._roles = known.get(roles, ())
        if "output" in self._roles:
            self.notes.append("is an RNN whose output layer torch.nn.RNN lacks: tanh(weight_ho_l0 h + bias_ho_l0)")

    def to_torch(self, blobs: Sequence[Tensor]) -> list[Tensor]:
        """Return the weights of input and hidden state, both biases, and the output layer of an RNN."""
        if not self._roles:
            raise InvalidArgument(
                f"layer '{self.name}' has a static input, for which PyTorch's {self._type} has no parameter: its blobs "
                f"{', '.join(self._caffe)}{self._order()} can be had under Caffe's names. Received: names=torch",
                field="names",
            )
        own = dict(zip(self._roles, blobs, strict=True))
        bias = self._exchanged(own["bias"])
        return [
            renamed(self._exchanged(own["input"]), f"{self.name}.{_WEIGHTS['input']}"),
            renamed(self._exchanged(own["hidden"]), f"{self.name}.{_WEIGHTS['hidden']}"),
            renamed(bias, f"{self.name}.{_BIASES[0]}"),
            constant(f"{self.name}.{_BIASES[1]}", bias.shape, bias.dtype, 0),
            *(
                renamed(self._exchanged(own[role]), f"{self.name}.{_WEIGHTS[role]}")
                for role in ("static", "output", "output_bias")
                if role in own
            ),
        ]

    def from_torch(self, state: Mapping[str, Tensor]) -> tuple[list[Tensor], list[str]] | None:
        """Return the weights, and the sum of the biases."""
        if not self._roles:
            return None
        names = [f"{self.name}.{_WEIGHTS[role]}" for role in self._roles if role in _WEIGHTS]
        biases = [f"{self.name}.{bias}" for bias in _BIASES]
        if not any(name in state for name in (*names, *biases)):
            return None
        further = [name for name in state if name.startswith(f"{self.name}.") and name.endswith(("_l1", "_reverse"))]
        if further:
            raise Mismatch(f"'{further[0]}' belongs to a further layer or direction, which Caffe's layer does not have")
        check_all([*names, *biases], state)
        weights = [role for role in self._roles if role in _WEIGHTS]
        own = {role: self._exchanged(state[name]) for role, name in zip(weights, names, strict=True)}
        one, other = (state[name] for name in biases)
        if one.shape != other.shape:
            raise Mismatch(f"'{biases[0]}' and '{biases[1]}' have other shapes: {list(one.shape)}, {list(other.shape)}")
        own["bias"] = self._exchanged(combined(one.name, lambda a, b: a + b, one, other))
        taken = [own[role] for role in self._roles]
        return [as_blob(tensor, blob) for tensor, blob in zip(taken, self.blobs, strict=True)], [*names, *biases]

    def _exchanged(self, tensor: Tensor) -> Tensor:
        """Return a tensor whose rows are those of the gates, in the other order."""
        if self._type == "RNN" or not tensor.shape or tensor.shape[0] % len(_GATES):
            return tensor
        part = tensor.count // len(_GATES)
        return spliced(tensor.name, tensor.shape, [(tensor, gate * part, (gate + 1) * part) for gate in _GATES])

    def _order(self) -> str:
        return "" if self._type == "RNN" else ", whose gates are in the order i, f, o, g,"
