"""Names of a net as identifiers of Python: attributes of a module, and variables of its forward."""

import keyword
import re
from collections.abc import Iterable

_LONGEST = 100

MODULE_ATTRIBUTES = frozenset(
    [
        "T_destination",
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
    ]
)
"""Attributes of torch.nn.Module that have no underscore in front."""

GLOBALS = frozenset(
    [
        "F",
        "Path",
        "Tensor",
        "bool",
        "dict",
        "float",
        "functional_call",
        "int",
        "list",
        "load",
        "load_file",
        "math",
        "nn",
        "print",
        "range",
        "self",
        "str",
        "super",
        "torch",
        "tuple",
    ]
)
"""Names that mean something to a written file, besides the parts that it takes over."""


class Identifiers:
    """Identifiers that differ from each other.

    They consist of the letters, digits and underscores of ASCII, whatever the names, and begin with a letter.

    Args:
        reserved: identifiers that are taken.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._reserved = frozenset(reserved)
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def unique(self, name: str, kind: str) -> str:
        """Return an identifier for a name that none was given before.

        Args:
            name: any text.
            kind: word that stands in front, or in place, of a name that cannot begin an identifier.
        """
        base = identifier(name, kind)
        if self._is_free(base):
            self._taken.add(base)
            return base
        number = self._numbers.get(base, 1)
        while not self._is_free(f"{base}_{(number := number + 1)}"):
            pass
        self._numbers[base] = number
        self._taken.add(f"{base}_{number}")
        return f"{base}_{number}"

    def _is_free(self, name: str) -> bool:
        return name not in self._taken and name not in self._reserved and not keyword.iskeyword(name)


def identifier(name: str, kind: str) -> str:
    """Return an identifier that resembles a name; other names may have the same.

    >>> identifier("inception_3a/1x1", "layer")
    'inception_3a_1x1'
    >>> identifier("1x1", "layer")
    'layer_1x1'
    """
    letters = re.sub(r"[^0-9A-Za-z]+", "_", name[: 4 * _LONGEST]).strip("_")[:_LONGEST].rstrip("_")
    if not letters:
        return kind
    return letters if letters[0].isalpha() else f"{kind}_{letters}"
