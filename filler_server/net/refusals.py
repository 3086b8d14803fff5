"""The error for a layer that cannot be set up."""

from caffe_filler.errors import NetError
from filler_server.net.dimensions import Unknown, text


def refusal(cause: str, *, layer: str | None, line: int | None, **received: object) -> NetError:
    """Return the error for a layer that cannot be set up, ending with the values received."""
    values = ", ".join(f"{name}={_shown(value)}" for name, value in received.items())
    return NetError(f"{cause.rstrip('.')}. Received: {values}", layer=layer, line=line)


def _shown(value: object) -> str:
    if isinstance(value, Unknown) or (isinstance(value, tuple) and all(isinstance(x, int | Unknown) for x in value)):
        return _shortened(text(value))
    return _shortened(repr(value))


def _shortened(words: str, most: int = 200) -> str:
    return words if len(words) <= most else f"{words[:most]}..."
