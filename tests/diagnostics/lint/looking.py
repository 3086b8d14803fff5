"""Short ways to look at a text with lint."""

from filler_server.diagnostics.lint import Finding, Selection
from filler_server.diagnostics.lint.checking import check_file


def look(text: str | bytes, *select: str, ignore: tuple[str, ...] = ()) -> list[Finding]:
    """Return the findings of a net or solver."""
    data = text if isinstance(text, bytes) else text.encode()
    return [found.finding for found in check_file(data, "net.prototxt", Selection.of(select, ignore)).found]


def codes(text: str | bytes) -> list[str]:
    """Return the codes of the findings."""
    return [finding.code for finding in look(text)]


DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [8, 256] } } }\n'
LABEL = 'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 8 } } }\n'


def product(name: str, bottom: str, fields: str, more: str = "") -> str:
    """Return an InnerProduct on four lines."""
    return (
        f'layer {{\n  name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {more}\n'
        f"  inner_product_param {{ {fields} }}\n}}\n"
    )


def stack(depth: int, filler: str, activation: str = "ReLU") -> str:
    """Return a net of inner products of 256 units, each with a nonlinearity, and a classifier of ten classes."""
    text, bottom = DATA + LABEL, "data"
    for number in range(1, depth + 1):
        name = f"ip{number}"
        text += product(name, bottom, f"num_output: 256 weight_filler {{ {filler} }}")
        text += f'layer {{ name: "act{number}" type: "{activation}" bottom: "{name}" top: "{name}" }}\n'
        bottom = name
    text += product("scores", bottom, 'num_output: 10 weight_filler { type: "xavier" }')
    return text + 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }\n'
