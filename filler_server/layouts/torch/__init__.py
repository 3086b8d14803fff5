"""PyTorch's layout: the state_dict of modules that compute what the layers of a net compute."""

from filler_server.layouts.torch.layout import FromTorch, ToTorch, from_torch, has_torch_names, modules, to_torch

__all__ = ["FromTorch", "ToTorch", "from_torch", "has_torch_names", "modules", "to_torch"]
