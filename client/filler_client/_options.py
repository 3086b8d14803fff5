"""Keyword options of public functions and methods: their names, checked when one is called."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from caffe_filler.nearest import did_you_mean, nearest

_Method = TypeVar("_Method", bound=Callable[..., Any])


def takes_options(kind: type) -> Callable[[_Method], _Method]:
    """Return a decorator for a function or method that takes the options of a TypedDict as `**options`.

    It then refuses every other name with a TypeError, as Python itself does for named parameters, and its
    signature shows the options.
    """

    def decorate(method: _Method) -> _Method:
        signature = inspect.signature(method)
        own = [entry for entry in signature.parameters.values() if entry.kind is not entry.VAR_KEYWORD]
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=..., annotation=annotation)
            for name, annotation in kind.__annotations__.items()
        ]
        known = [entry.name for entry in (*own, *options) if entry.name != "self"]

        def check(names: dict[str, Any]) -> None:
            for name in names:
                if name not in known:
                    hint = did_you_mean(nearest(name, known, cutoff=0.7))
                    raise TypeError(f"{method.__name__}() got an unexpected keyword argument '{name}'{hint}")

        if inspect.iscoroutinefunction(method):

            @wraps(method)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                check(kwargs)
                return await method(*args, **kwargs)

            checked: Any = awaited
        else:

            @wraps(method)
            def called(*args: Any, **kwargs: Any) -> Any:
                check(kwargs)
                return method(*args, **kwargs)

            checked = called
        checked.__signature__ = signature.replace(parameters=[*own, *options])
        return cast(_Method, checked)

    return decorate
