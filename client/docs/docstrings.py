"""Examples of docstrings as code, whether they are sessions of an interpreter or programs."""

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"^Example:\n((?:    .*\n|\n)*(?:    .*))", re.MULTILINE)


class Examples(Extension):
    """Makes a section of examples, which Griffe knows, out of `Example:`."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(_as_section, obj.docstring.value)


def _as_section(found: re.Match[str]) -> str:
    code = found[1]
    if code.lstrip().startswith(">>>"):
        return f"Examples:\n{code}"
    return f"Examples:\n    ```python\n{code}\n    ```"
