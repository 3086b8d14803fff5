"""Files of a giant net, written by a cluster of Ray, a task for each file; needs the extra `ray`.

from filler_client.ray import save_net

save_net(Path("giant.prototxt"), "/shared/giant.safetensors", seed=1701, max_shard_bytes=5 << 30)
"""

try:
    import ray  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"filler_client.ray needs {error.name}: pip install 'caffe-filler[ray]'", name=error.name
    ) from None

from filler_client.ray._saving import RaySaveOptions, save_net

__all__ = ["RaySaveOptions", "save_net"]
