"""The error for a layer that cannot be set up."""

from caffe_filler.errors import NetError
from filler_server.net.dimensions import Unknown, text


def refusal(cause: str, *, layer: str | None, line: int | None, **received: object) -> NetError:
    """Return the error for a layer that cannot be set up, ending with the values received; too long names are cut."""
    values = ", ".join(f"{name}={_shown(value)}" for name, value in received.items())
    name = None if layer is None else shortened(layer)
    return NetError(f"{shortened(cause.rstrip('.'), 1000)}. Received: {shortened(values, 2000)}", layer=name, line=line)


def _shown(value: object) -> str:
    if isinstance(value, Unknown) or (isinstance(value, tuple) and all(isinstance(x, int | Unknown) for x in value)):
        return shortened(text(value))
    return shortened(repr(value))


def shortened(words: str, most: int = 200) -> str:
    """Return words, but no more than so many characters of them."""
    return words if len(words) <= most else f"{words[:most]}..."
