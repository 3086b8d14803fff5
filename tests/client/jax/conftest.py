"""Eight virtual devices, for all that run in this process: JAX counts them when it is first used."""

import importlib.util
import os

if importlib.util.find_spec("jax"):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
