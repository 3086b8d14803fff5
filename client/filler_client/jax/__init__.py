"""Arrays of JAX, filled; needs the extra `jax`.

import flax.linen as nn
from filler_client.jax import fill_tree, initializer

dense = nn.Dense(256, kernel_init=initializer("xavier"))

shapes = jax.eval_shape(model.init, jax.random.key(0), x)
params = fill_tree(shapes, shardings, {"*.bias": "constant", "*.kernel": "xavier"}, seed=1701)
"""

try:
    import jax  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"filler_client.jax needs {error.name}: pip install 'caffe-filler[jax]'", name=error.name
    ) from None

from filler_client.jax._initializer import Initializer, initializer
from filler_client.jax._tree import fill_tree

__all__ = ["Initializer", "fill_tree", "initializer"]
