"""Fill a model of Flax on a mesh of devices, each with its own regions alone: the same weights on every mesh.

XLA_FLAGS=--xla_force_host_platform_device_count=8 python initialize_flax.py 4 2
"""

import hashlib
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from filler_client.jax import fill_tree

RULES = """
rule { name: "*.bias" filler { type: "constant" } } rule { name: "*.scale" filler { type: "constant" value: 1 } }
rule { name: "layers.*.kernel" layout: "stack,in,out" filler { type: "msra" } }
rule { name: "*.kernel" filler { type: "xavier" variance_norm: AVERAGE } }
"""


class Block(nn.Module):
    """A residual block."""

    @nn.compact
    def __call__(self, x, _):
        """Return the block's output, as `nn.scan` wants it."""
        return x + nn.relu(nn.Dense(x.shape[-1])(nn.LayerNorm()(x))), None


class Net(nn.Module):
    """Four blocks, whose weights are stacked, and a head."""

    @nn.compact
    def __call__(self, x):
        """Return ten values for each row."""
        blocks = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=4)
        x, _ = blocks(name="layers")(x, None)
        return nn.Dense(10)(x)


mesh = Mesh(np.array(jax.devices()).reshape([int(size) for size in sys.argv[1:3]]), ("data", "model"))


def sharding(path, struct):
    """Divide the inputs of each kernel over one axis of the mesh, and copy all else to every device."""
    spec = [None] * (len(struct.shape) - 2) + ["data"] if path[-1].key == "kernel" else []
    return NamedSharding(mesh, PartitionSpec(*spec))


shapes = jax.eval_shape(Net().init, jax.random.key(0), jnp.ones((1, 64)))["params"]
params = fill_tree(shapes, jax.tree_util.tree_map_with_path(sharding, shapes), RULES, seed=1701)

print(jax.tree.map(lambda array: f"{array.shape} std {array.std():.4f} {array.sharding.spec}", params))
values = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params))
print("SHA-256 of all parameters:", hashlib.sha256(values).hexdigest())
