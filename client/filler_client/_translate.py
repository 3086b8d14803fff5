"""Initializers of PyTorch, Keras and JAX in Caffe's words, and back."""

from typing import TYPE_CHECKING

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_client._requests import FillerLike, filler_parameter

if TYPE_CHECKING:
    from filler_server.frameworks.translation import Translation


def translate(initializer: FillerLike) -> "Translation":
    """Return what an initializer is in the words of Caffe, PyTorch, Keras and JAX, and what differs.

    Args:
        initializer: a call or a name, `"torch.nn.init.kaiming_uniform_(w, a=math.sqrt(5))"`, `"keras.HeNormal()"`,
            `"he_normal"`; or a filler, `'type: "xavier"'`, `"xavier"`. Calls are read, not run.

    Raises:
        InvalidArgument: it is neither, or its arguments make no initializer.
        FillerParameterError: they make no filler.
        UnknownFiller: there is no initializer or filler of this name.
    """
    from filler_server.fillers import get_filler, registered
    from filler_server.frameworks.calls import read_call
    from filler_server.frameworks.names import resolved
    from filler_server.frameworks.translation import of_filler

    if isinstance(initializer, FillerParameter):
        source, filler = initializer.type, initializer
    elif not isinstance(initializer, str) or ":" in initializer.partition("(")[0] or initializer in registered():
        source, filler = str(initializer), filler_parameter(initializer)
    else:
        source = initializer.strip()
        _, filler = read_call(initializer)
    # Calls are worked out of numbers that have been checked.
    get_filler(resolved(filler) or filler)
    return of_filler(source, filler)
