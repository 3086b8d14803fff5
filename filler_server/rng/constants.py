"""Constants of kernels as they are written: hexadecimal floats, which are exact."""


def numbers(text: str) -> tuple[float, ...]:
    """Return the numbers of a text, with spaces between them."""
    return tuple(map(float.fromhex, text.split()))
