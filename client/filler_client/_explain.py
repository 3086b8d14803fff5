"""Explanations of fillers and initializers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from caffe_filler.errors import InvalidArgument, UnknownFiller
from caffe_filler.nearest import did_you_mean, nearest
from filler_client._requests import FillerLike, check_shape
from filler_client._translate import translate

if TYPE_CHECKING:
    from filler_server.diagnostics.explain.explanation import Explained


def explain(initializer: FillerLike, shape: Sequence[int] | None = None) -> "Explained":
    """Return what a filler does, in a formula, numbers and a plot, or what initializes the parameters of a module.

    Args:
        initializer: a filler, `'type: "xavier"'`, `"xavier"`; a call or a name of another framework,
            `"torch.nn.init.kaiming_uniform_"`, `"keras.HeNormal()"`, which is read and not run; or a module,
            `"torch.nn.Linear"`, `"keras.layers.Dense"`, `"flax.linen.Conv"`, for its defaults.
        shape: shape of the blob, or of the weight of the module, as Caffe has it: [out, in, ...]. Fillers that go by
            fans or rows need it.

    Raises:
        ShapeError: the filler needs a shape, or cannot fill this one.
        UnknownFiller: there is no filler, initializer or module of this name.
        InvalidArgument: the text is none of these.

    Example:
        >>> explain("msra", (64, 3, 7, 7)).parts[0].formula.numbers
        'x ~ N(0, 0.11664^2), 0.11664 = sqrt(2 / 147)'
    """
    from filler_server.diagnostics.explain.explain import explain_filler, explain_module
    from filler_server.fillers import registered
    from filler_server.frameworks.modules import MODULES, module_of

    dims = None if shape is None else tuple(check_shape(shape))
    name = initializer.strip() if isinstance(initializer, str) else ""
    module = module_of(name.removesuffix("()"))
    if module is not None:
        return explain_module(module, dims)
    called = name.partition("(")[0]
    if module_of(called) is not None:
        raise InvalidArgument(
            f"a module is explained by its name, {called}, and the shape of its weight. Received: {name[:200]!r}"
        )
    try:
        translation = translate(initializer)
    except UnknownFiller as error:
        near = nearest(called, [*registered(), *MODULES]) if called and "did you mean" not in str(error) else None
        if near is None:
            raise
        raise UnknownFiller(
            f"no filler, initializer or module of this name is known{did_you_mean(near)}. Received: {name[:200]!r}",
            field="type",
        ) from None
    return explain_filler(translation, dims)
