"""`transformer`: normal values, smaller by the depth where blocks add to the residual stream."""

import re
from collections.abc import Iterable
from math import isfinite, sqrt

from caffe_filler.errors import InvalidArgument
from filler_server.rules.patterns import NamePatterns
from filler_server.rules.reading import read_rules
from filler_server.rules.rules import Rules

OUTPUTS = tuple(
    f"{path}{name}"
    for name in (
        *(f"{name}.weight" for name in ("out_proj", "o_proj", "c_proj", "wo", "to_out", "to_out.0", "attn.proj")),
        *(f"{name}.weight" for name in ("attention.dense", "attention.output.dense", "self_attention.dense")),
        *("self_attention.proj.weight", "fc2_weight"),
        *(f"{name}.weight" for name in ("down_proj", "fc2", "w2", "linear2", "dense_4h_to_h", "mlp.proj")),
    )
    # A block may be filled by itself.
    for path in ("*.", "")
)
"""Names of the matrices that write to the residual stream, in the usual models."""

_PLACES = ("before", "after", "pre", "post", "attn", "mlp", "ffn", "embedding", "context", "out", "final")
"""Words that may stand after `norm` in the name of a normalization."""

_NORMS = (
    *(
        f"{base}{suffix}.{own}"
        for base in ("*[nN]orm", "ln", "*.ln", "*_ln")
        for suffix in ("", "[0-9]", "[0-9][0-9]", "_?", "_[0-9][0-9]", *map("_{}".format, _PLACES), *_PLACES)
        for own in ("weight", "scale")
    ),
    "*[nN]orm_weight",
)
"""Names of the weights of normalizations, in the usual models; those of linear layers inside of these do not fit."""

_FUSED = ("*Norm*Linear*", "*Norm*MLP*", "NormHead")
"""Classes of modules that normalize and hold matrices as well, as those of Transformer Engine."""

_TEXT = """
rule {{ module: "*Norm*Embedding*" name: "*weight" filler {{ type: "gaussian" std: {std} }} zero_padding: true }}
rule {{ module: [{fused}] name: "*[nN]orm_weight" filler {{ type: "constant" value: 1 }} }}
rule {{ module: [{fused}] name: [{outputs}] filler {{ type: "gaussian" std: {scaled} }} }}
rule {{ module: [{fused}] name: "*weight" filler {{ type: "gaussian" std: {std} }} }}
rule {{ module: "*Norm*" name: ["*weight", "*scale"] filler {{ type: "constant" value: 1 }} }}
rule {{ module: "*Norm*" name: "*bias" filler {{ type: "constant" }} }}
rule {{ name: "*bias" filler {{ type: "constant" }} }}
rule {{ module: "*Embedding*" filler {{ type: "gaussian" std: {std} }} zero_padding: true }}
rule {{ name: [{outputs}] filler {{ type: "gaussian" std: {scaled} }} }}
rule {{ module: "*" name: [{weights}] filler {{ type: "gaussian" std: {std} }} }}
# Where modules are unknown, names alone tell normalizations.
rule {{ name: [{norms}] filler {{ type: "constant" value: 1 }} }}
rule {{ name: [{weights}] filler {{ type: "gaussian" std: {std} }} }}
"""

_WEIGHTS = ("*weight", "*pos_emb*", "*position_emb*", "*positional_emb*", "*cls_token", "*mask_token")

_BLOCK = re.compile(r"(?:^|\.)(?:layers?|blocks?|h|resblocks)\.(\d+)(?=\.)")


def transformer(*, depth: int, std: float = 0.02, outputs: Iterable[str] = OUTPUTS) -> Rules:
    """Return the rules of GPT-2 and of most transformers after it.

    Matrices and embeddings are N(0, std^2), and those that write to the residual stream N(0, std^2 / (2 depth)), as
    each of `depth` blocks has two of them (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019,
    section 2.3). Biases are 0; of normalizations the weight is 1 and the bias 0. Where modules are unknown, their usual
    names tell normalizations, such as `input_layernorm`, `ln_1` and `q_norm`.

    Args:
        depth: number of blocks of the whole model.
        std: standard deviation.
        outputs: patterns of the names of the matrices that write to the residual stream.

    Raises:
        InvalidArgument: an argument cannot be what it should.
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise InvalidArgument(f"depth is the number of blocks of the whole model, 1 or more. Received: depth={depth!r}")
    if isinstance(std, bool) or not isinstance(std, int | float) or not (isfinite(std) and std > 0):
        raise InvalidArgument(f"a standard deviation is finite and above 0. Received: std={std!r}")
    names = [outputs] if isinstance(outputs, str) else list(outputs)
    if not names or not all(isinstance(name, str) and name.isprintable() for name in names):
        raise InvalidArgument(f"outputs are patterns of names. Received: outputs={outputs!r}")
    patterns = {
        "outputs": _quoted(names),
        "norms": _quoted(_NORMS),
        "weights": _quoted(_WEIGHTS),
        "fused": _quoted(_FUSED),
    }
    return read_rules(_TEXT.format(std=float(std), scaled=std / sqrt(2 * depth), **patterns).encode())


def _quoted(patterns: Iterable[str]) -> str:
    """Return patterns as the strings of a list in a file of rules."""
    escaped = (pattern.replace("\\", "\\\\").replace('"', '\\"') for pattern in patterns)
    return ", ".join(f'"{pattern}"' for pattern in escaped)


def transformer_of(names: Iterable[str]) -> Rules:
    """Return the rules for a whole model, with the depth that the names of its parameters tell.

    Blocks are numbered after `layers.`, `layer.`, `blocks.`, `block.`, `h.` or `resblocks.`.

    Raises:
        InvalidArgument: no parameter has such a name, there are several stacks of blocks, or the numbers are not those
            from 0 on; or a block has no matrix that is called as one that writes to the residual stream.
    """
    outputs = NamePatterns(OUTPUTS)
    scaled: dict[int, bool] = {}
    stacks: set[str] = set()
    for name in names:
        for found in _BLOCK.finditer(name):
            number = int(found[1])
            stacks.add(name[: found.start(1)])
            scaled[number] = scaled.get(number, False) or outputs.fit(name, is_buffer=False)
    remedy = "rule_set('transformer', depth=...) says how many the whole model has"
    if not scaled:
        raise InvalidArgument(f"no parameter is called as in a block, such as layers.0.*; {remedy}")
    if len(stacks) > 1:
        raise InvalidArgument(
            f"there are several stacks of blocks; {remedy}. Received: {', '.join(sorted(stacks)[:3])}"
        )
    if scaled.keys() != set(range(len(scaled))):
        raise InvalidArgument(
            f"this is not a whole model; {remedy}. "
            f"Received: {len(scaled)} blocks, numbered {min(scaled)} to {max(scaled)}"
        )
    if not all(scaled.values()):
        number = next(number for number, found in scaled.items() if not found)
        raise InvalidArgument(
            f"nothing in block {number} is called as a matrix that writes to the residual stream; "
            "rule_set('transformer', depth=..., outputs=[...]) says how these are called"
        )
    return transformer(depth=len(scaled))
