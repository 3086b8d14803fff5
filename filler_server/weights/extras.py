"""Libraries that only some formats need."""

from collections.abc import Iterator
from contextlib import contextmanager

from caffe_filler.errors import Unavailable


@contextmanager
def needs_extra(extra: str, what: str, *modules: str) -> Iterator[None]:
    """Say kindly what is missing where an extra is not installed.

    Raises:
        Unavailable: one of the modules is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in modules:
            raise
        raise Unavailable(f"{what} needs {error.name}: pip install 'caffe-filler[{extra}]'") from None
