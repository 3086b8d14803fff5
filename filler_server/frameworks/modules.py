"""Modules of PyTorch, Keras and Flax, and how each of them initializes its parameters by default."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["weight", "recurrent", "vector"]
"""Shape of a parameter, in Caffe's layout: that of the weight, [gates hidden, hidden], or a vector."""

Bound: TypeAlias = Literal["fan_in", "hidden_size", "in1_features"]
"""Size n of the weight for which values are uniform within 1 / sqrt(n)."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a module.

    Attributes:
        name: as the module calls it.
        initializer: the call that fills it; empty where `bound` tells.
        role: its shape.
        bound: the size of the weight that bounds its values, where no initializer is called.
    """

    name: str
    initializer: str = ""
    role: Role = "vector"
    bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class Module:
    """A module with its parameters, the weight first.

    Attributes:
        name: its full name.
        parameters: those that it initializes.
        gates: vectors of the hidden size in the first axis of the weight of a recurrent one.
        note: what else there is to know.
    """

    name: str
    parameters: tuple[Parameter, ...]
    gates: int = 1
    note: str = ""


_TORCH_WEIGHT = Parameter("weight", "torch.kaiming_uniform_(w, a=math.sqrt(5))", "weight")
_TORCH_BIAS = Parameter("bias", bound="fan_in")
_TORCH_NORM = (Parameter("weight", "torch.ones_"), Parameter("bias", "torch.zeros_"))
_TORCH_STATISTICS = (Parameter("running_mean", "torch.zeros_"), Parameter("running_var", "torch.ones_"))
_TORCH_TRANSPOSED = "the weight is [in, out / groups, ...], so that its fan_in is that of its second axis, the outputs"
_TORCH_RECURRENT = (
    Parameter("weight_ih", role="weight", bound="hidden_size"),
    Parameter("weight_hh", role="recurrent", bound="hidden_size"),
    Parameter("bias_ih", bound="hidden_size"),
    Parameter("bias_hh", bound="hidden_size"),
)
_KERAS = (Parameter("kernel", "keras.glorot_uniform", "weight"), Parameter("bias", "keras.zeros"))
_KERAS_RECURRENT = (
    Parameter("kernel", "keras.glorot_uniform", "weight"),
    Parameter("recurrent_kernel", "keras.orthogonal", "recurrent"),
    Parameter("bias", "keras.zeros"),
)
_FLAX = (Parameter("kernel", "jax.lecun_normal", "weight"), Parameter("bias", "jax.zeros"))
_FLAX_NORM = (Parameter("scale", "jax.ones"), Parameter("bias", "jax.zeros"))
_FLAX_EMBED = (Parameter("embedding", "jax.variance_scaling(1.0, 'fan_in', 'normal')", "weight"),)
_FLAX_STATISTICS = (Parameter("mean", "jax.zeros"), Parameter("var", "jax.ones"))

_OUT_IN = "a shape is taken as [out, in, ...], whichever way the module itself stores it"
_NUMBERED = ("1d", "2d", "3d")


def _torch() -> list[Module]:
    prefix = "torch.nn."
    plain = ["Linear", *(f"Conv{number}" for number in _NUMBERED)]
    norms = [f"{kind}{number}" for kind in ("BatchNorm", "InstanceNorm") for number in _NUMBERED]
    return [
        *(Module(prefix + name, (_TORCH_WEIGHT, _TORCH_BIAS)) for name in plain),
        *(
            Module(f"{prefix}ConvTranspose{number}", (_TORCH_WEIGHT, _TORCH_BIAS), note=_TORCH_TRANSPOSED)
            for number in _NUMBERED
        ),
        Module(
            f"{prefix}Bilinear",
            (Parameter("weight", role="weight", bound="in1_features"), Parameter("bias", bound="in1_features")),
        ),
        *(
            Module(prefix + name, (Parameter("weight", "torch.normal_", "weight"),))
            for name in ("Embedding", "EmbeddingBag")
        ),
        *(
            Module(f"{prefix}{name}{cell}", _TORCH_RECURRENT, gates)
            for name, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4))
            for cell in ("", "Cell")
        ),
        *(
            Module(
                prefix + name,
                (*_TORCH_NORM, *_TORCH_STATISTICS),
                note="InstanceNorm has no parameters unless affine=True, and no statistics unless "
                "track_running_stats=True"
                if name.startswith("Instance")
                else "",
            )
            for name in norms
        ),
        Module(f"{prefix}LayerNorm", _TORCH_NORM),
        Module(f"{prefix}GroupNorm", _TORCH_NORM),
        Module(f"{prefix}RMSNorm", _TORCH_NORM[:1]),
        Module(f"{prefix}PReLU", (Parameter("weight", "torch.constant_(w, 0.25)"),)),
        Module(
            f"{prefix}MultiheadAttention",
            (
                Parameter("in_proj_weight", "torch.xavier_uniform_", "weight"),
                Parameter("in_proj_bias", "torch.zeros_"),
                Parameter("out_proj.weight", "torch.kaiming_uniform_(w, a=math.sqrt(5))", "recurrent"),
                Parameter("out_proj.bias", "torch.zeros_"),
            ),
            gates=3,
        ),
    ]


def _keras() -> list[Module]:
    prefix = "keras.layers."
    convolutions = [f"Conv{number}D{kind}" for number in (1, 2, 3) for kind in ("", "Transpose")]
    norms = (Parameter("gamma", "keras.ones"), Parameter("beta", "keras.zeros"))
    statistics = (Parameter("moving_mean", "keras.zeros"), Parameter("moving_variance", "keras.ones"))
    return [
        *(Module(prefix + name, _KERAS, note=_OUT_IN) for name in ("Dense", *convolutions)),
        Module(f"{prefix}Embedding", (Parameter("embeddings", "keras.random_uniform", "weight"),)),
        Module(f"{prefix}SimpleRNN", _KERAS_RECURRENT),
        Module(f"{prefix}GRU", _KERAS_RECURRENT, 3),
        Module(f"{prefix}LSTM", _KERAS_RECURRENT, 4, "the bias of the forget gate is 1, unless unit_forget_bias=False"),
        Module(f"{prefix}BatchNormalization", (*norms, *statistics)),
        Module(f"{prefix}LayerNormalization", norms),
        Module(f"{prefix}GroupNormalization", norms),
        Module(f"{prefix}PReLU", (Parameter("alpha", "keras.zeros"),)),
    ]


def _flax() -> list[Module]:
    found = []
    for prefix, dense in (("flax.linen.", "Dense"), ("flax.nnx.", "Linear")):
        found += [Module(prefix + name, _FLAX, note=_OUT_IN) for name in (dense, "Conv", "ConvTranspose")]
        found += [
            Module(f"{prefix}Embed", _FLAX_EMBED, note="its fan_in is the number of features"),
            Module(f"{prefix}BatchNorm", (*_FLAX_NORM, *_FLAX_STATISTICS)),
            Module(f"{prefix}LayerNorm", _FLAX_NORM),
            Module(f"{prefix}GroupNorm", _FLAX_NORM),
            Module(f"{prefix}RMSNorm", _FLAX_NORM[:1]),
        ]
        found += [
            Module(
                prefix + name,
                (
                    Parameter("input kernels", "jax.lecun_normal", "weight"),
                    Parameter("hidden kernels", "jax.orthogonal", "recurrent"),
                    Parameter("bias", "jax.zeros"),
                ),
                note="each gate has kernels of its own, whose fans are those of one gate",
            )
            for name in ("LSTMCell", "GRUCell")
        ]
    return found


MODULES: Mapping[str, Module] = MappingProxyType({module.name: module for module in (*_torch(), *_keras(), *_flax())})
"""The modules by their full names."""

_PREFIXES = {
    "nn.": ("torch.nn.", "flax.linen."),
    "layers.": ("keras.layers.",),
    "tf.keras.layers.": ("keras.layers.",),
    "tensorflow.keras.layers.": ("keras.layers.",),
    "linen.": ("flax.linen.",),
    "nnx.": ("flax.nnx.",),
}
"""Other prefixes under which modules are imported, and the ones that they may stand for."""


def module_of(name: str) -> Module | None:
    """Return the module of a name, under any prefix by which it is usually imported, or None.

    Of a name that several frameworks have, such as nn.Conv, it is the first of PyTorch and Flax that has it.
    """
    prefix, dot, last = name.rpartition(".")
    candidates = [name, *(full + last for full in _PREFIXES.get(prefix + dot, ()))]
    return next((MODULES[candidate] for candidate in candidates if candidate in MODULES), None)
