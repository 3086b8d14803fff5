"""Nets of which the signal is known from the literature, and small ones of many kinds."""

HEAD = """
layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: {batch} dim: {width} }} }} }}
layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: {batch} }} }} }}
"""

LOSS = """
layer {{ name: "out" type: "InnerProduct" bottom: "{bottom}" top: "out"
  inner_product_param {{ num_output: 10 weight_filler {{ {filler} }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "out" bottom: "label" top: "loss" }}
"""


def stack(
    filler: str, activation: str, depth: int = 20, width: int = 256, batch: int = 64, *, norm: bool = False
) -> str:
    """Return a net of inner products of one width, each with an activation after it.

    Args:
        filler: fields of the weight filler.
        activation: type of the activations.
        depth: number of inner products.
        width: of all of them.
        batch: number of samples.
        norm: whether a BatchNorm stands before each activation.
    """
    text, bottom = HEAD.format(batch=batch, width=width), "data"
    for number in range(1, depth + 1):
        text += f"""
layer {{ name: "ip{number}" type: "InnerProduct" bottom: "{bottom}" top: "ip{number}"
  inner_product_param {{ num_output: {width} weight_filler {{ {filler} }} }} }}"""
        if norm:
            text += f"""
layer {{ name: "norm{number}" type: "BatchNorm" bottom: "ip{number}" top: "ip{number}" }}"""
        text += f"""
layer {{ name: "act{number}" type: "{activation}" bottom: "ip{number}" top: "act{number}" }}"""
        bottom = f"act{number}"
    return text + LOSS.format(bottom=bottom, filler=filler)
