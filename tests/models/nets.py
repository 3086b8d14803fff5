"""Prototxt of small nets."""


def inputs(**shapes: tuple[int, ...]) -> str:
    """Return an Input layer for each name, of its shape."""
    return "".join(
        f'layer {{ name: "in_{name}" type: "Input" top: "{name}" '
        f"input_param {{ shape {{ {' '.join(f'dim: {dim}' for dim in shape)} }} }} }}\n"
        for name, shape in shapes.items()
    )
