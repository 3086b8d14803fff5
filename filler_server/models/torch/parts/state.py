"""Names of layers in a state_dict, and values that modules share."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.func import functional_call


def keep_caffe_names(
    net: nn.Module,
    names: Mapping[str, str],
    shared: Mapping[str, str],
    views: Mapping[str, tuple[str, Callable[[Tensor], Tensor]]],
) -> None:
    """Let the state_dict of a net have the names of Caffe's layers.

    Args:
        net: the net.
        names: by the attributes of modules, the names of their layers, where they differ.
        shared: by entries, those that have the same values; a state_dict to load may lack the former.
        views: by entries that no module holds, those that hold their values, and how the one is made of the other; a
            state_dict to load may lack the former.
    """

    def rename(state: dict[str, Tensor], prefix: str, table: Mapping[str, str]) -> None:
        entries = list(state.items())
        state.clear()
        for key, value in entries:
            module, dot, entry = key.removeprefix(prefix).rpartition(".")
            state[f"{prefix}{table.get(module, module)}{dot}{entry}" if key.startswith(prefix) else key] = value

    def after_state_dict(module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: object) -> None:
        rename(state, prefix, names)
        for entry, (owner, view) in views.items():
            state[prefix + entry] = view(state[prefix + owner])

    def before_load(module: nn.Module, state: dict[str, Tensor], prefix: str, *others: object) -> None:
        for entry, owner in shared.items():
            if prefix + owner in state:
                state.setdefault(prefix + entry, state[prefix + owner])
        for entry in views:
            state.pop(prefix + entry, None)
        rename(state, prefix, {layer: attribute for attribute, layer in names.items()})

    net.register_state_dict_post_hook(after_state_dict)
    net.register_load_state_dict_pre_hook(before_load)


def with_values(module: nn.Module, **values: Tensor) -> Callable[..., Tensor]:
    """Return a module as a function that has its parameters from elsewhere."""
    return lambda *arguments: functional_call(module, values, arguments)
