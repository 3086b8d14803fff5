"""Ways before and after the values of a plan, as far as initialization is concerned."""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

from filler_server.diagnostics.lint.weights import moments_of
from filler_server.net.operations.activations import ELU, PReLU, ReLU, ReLU6, Swish
from filler_server.net.plan import Layer, NetPlan, Value

Kind: TypeAlias = Literal["relu", "tanh", "sigmoid", "norm", "weight", "gates", "end", "unknown"]
"""First thing that a value comes to: a nonlinearity, a normalization, other weights, the end of the net."""

_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("ReLU", "PReLU", "ELU", "ReLU6", "Swish", "Insanity"), "relu"),
    "TanH": "tanh",
    "Sigmoid": "sigmoid",
    **dict.fromkeys(("BatchNorm", "BN", "MVN", "Normalize", "NormalizeChannels", "LayerNorm"), "norm"),
    **dict.fromkeys(("Convolution", "Deconvolution", "InnerProduct", "DepthwiseConvolution"), "weight"),
    **dict.fromkeys(("Convolution3D", "Deconvolution3D", "Local", "CCCP", "NdConvolution"), "weight"),
    **dict.fromkeys(("LSTM", "RNN", "Lstm", "LSTMUnit"), "gates"),
    **dict.fromkeys(("Softmax", "ArgMax", "Accuracy", "Silence", "HDF5Output", "Filter"), "end"),
}
_LONGEST_BRANCH = 64
"""Layers that a residual branch has at most."""

_PASSING = frozenset(
    (
        *("BatchReindex", "Bias", "Concat", "Crop", "Dropout", "Eltwise", "Flatten", "Flip", "Identity", "LRN"),
        *("Permute", "Pooling", "Pooling3D", "Power", "Reshape", "Reverse", "Scale", "ShuffleChannel", "Slice"),
        *("Split", "SPP", "Tile"),
    )
)
"""Types whose tops have values of about the size of their bottoms', and no nonlinearity of their own."""


class Flow:
    """The ways of a plan, worked out once in a pass over its layers in each direction."""

    def __init__(self, plan: NetPlan) -> None:
        self._plan = plan
        self._after: dict[Value, frozenset[Kind]] = {}
        self._kept: dict[Value, tuple[float, float]] = {}
        self._hidden = [False] * len(plan.layers)
        for index in reversed(range(len(plan.layers))):
            self._look_ahead(index)
        self._residual = frozenset(self._branches())
        self._from_data: list[bool] = []
        for layer in plan.layers:
            passes = layer.type in _PASSING and all(self._from_data[value.layer] for value in layer.producers)
            self._from_data.append(layer.is_source or passes)

    def after(self, layer: int, top: int = 0) -> frozenset[Kind]:
        """Return the kinds that a top comes to first, on all ways; `end` where nothing reads it."""
        return self._after[Value(layer, top)]

    def kept(self, layer: int) -> tuple[float, float]:
        """Return what part of the mean square of a top is kept by what it comes to first: at least and at most.

        The top is taken to be symmetric around 0, and a nonlinearity that is not like a ReLU to keep all.
        """
        return self._kept[Value(layer, 0)]

    def is_hidden(self, layer: int) -> bool:
        """Whether a layer whose weights are trained lies on a way from the layer to the end of the net."""
        return self._hidden[layer]

    def is_from_data(self, value: Value) -> bool:
        """Whether a value is data, of which only their source knows the size, or made of them by passing layers."""
        return self._from_data[value.layer]

    def is_residual(self, layer: int) -> bool:
        """Whether a layer lies on a branch that is added to what the branch begins with."""
        return layer in self._residual

    def _branches(self) -> Iterator[int]:
        """Yield the layers of residual branches: those from a bottom of a sum back to another bottom of it."""
        for layer in self._plan.layers:
            if layer.type != "Eltwise" or len(layer.producers) < 2:
                continue
            ends = frozenset(layer.producers)
            for start in ends:
                branch: list[int] = []
                value: Value | None = start
                while value is not None and len(branch) < _LONGEST_BRANCH:
                    branch.append(value.layer)
                    value = next(iter(self._plan.layers[value.layer].producers), None)
                    if value in ends:
                        yield from branch
                        break

    def _look_ahead(self, index: int) -> None:
        layer = self._plan.layers[index]
        for top in range(len(layer.tops)):
            kinds: set[Kind] = set()
            parts: list[tuple[float, float]] = []
            for edge in self._plan.readers(Value(index, top)):
                reader = self._plan.layers[edge.reader]
                kind = _KINDS.get(reader.type, "unknown")
                if any(reader.loss_weights):
                    kinds.add("end")
                elif reader.type in _PASSING and reader.tops:
                    tops = [Value(edge.reader, other) for other in range(len(reader.tops))]
                    kinds.update(*(self._after[other] for other in tops))
                    parts += [self._kept[other] for other in tops]
                else:
                    kinds.add(kind)
                    parts.append(_kept_by(reader))
                self._hidden[index] |= self._hidden[edge.reader] or (
                    kind in ("weight", "gates") and _is_trained(reader)
                )
            self._after[Value(index, top)] = frozenset(kinds or {"end"})
            leasts, mosts = zip(*(parts or [_ALL]), strict=True)
            self._kept[Value(index, top)] = min(leasts), max(mosts)


_ALL = (1.0, 1.0)


def _kept_by(layer: Layer) -> tuple[float, float]:
    """Return what part of the mean square a layer keeps of what is symmetric around 0: at least and at most."""
    operation = layer.operation
    if isinstance(operation, ELU):
        # Small negative values it keeps, scaled; of large ones next to nothing is left.
        return 0.5, 0.5 * (1 + operation.alpha**2)
    if isinstance(operation, Swish):
        return 0.25, 0.5
    if isinstance(operation, PReLU):
        slope = moments_of(layer.blobs[0]) if layer.blobs else None
        square = 0.0 if slope is None else slope[0] ** 2 + slope[1] ** 2
    elif isinstance(operation, ReLU | ReLU6):
        square = operation.negative_slope**2
    else:
        return (0.5, 0.5) if _KINDS.get(layer.type) == "relu" else _ALL
    return 0.5 * (1 + square), 0.5 * (1 + square)


def _is_trained(layer: Layer) -> bool:
    """Whether the weights of a layer are trained, and not such as only interpolate."""
    specs = layer.parameter.param
    interpolates = bool(layer.blobs) and layer.blobs[0].filler.type == "bilinear"
    return not interpolates and not (specs and not specs[0].lr_mult)
