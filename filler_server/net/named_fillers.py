"""Fillers that the caller names for blobs, in place of those that the net has for them."""

from collections.abc import Iterable, Mapping, Sequence

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import NetError
from caffe_filler.interface import option_name
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.cancellation import checkpoint

_ANY = "*"


class NamedFillers:
    """Fillers by the names of blobs; in a name that no blob has, each `*` stands for any characters.

    A name without a `*` counts before those with one, and of these the first that fits.
    """

    def __init__(self, fillers: Mapping[str, caffe_pb2.FillerParameter]) -> None:
        self._fillers = fillers
        self._patterns = [(name, name.split(_ANY)) for name in fillers if _ANY in name]
        self._used: set[str] = set()
        self._blobs: set[str] = set()

    def named(self, blob: str, *, kept: str | None = None) -> caffe_pb2.FillerParameter | None:
        """Return the filler that is named for a blob, or None.

        Args:
            blob: name of the blob.
            kept: why its values are not filled at all, if they are not; then no `*` stands for it.

        Raises:
            NetError: the very name is among those given, and its values are not filled.
        """
        if not self._fillers:
            return None
        checkpoint()
        if blob in self._fillers:
            if kept is not None:
                raise NetError(f"{option_name('fillers')}: {kept}. Received: name='{blob}'")
            return self._take(blob, blob)
        if kept is None:
            for name, parts in self._patterns:
                if _fits(blob, parts):
                    return self._take(name, blob)
        return None

    def name_any(self, blobs: Iterable[str]) -> bool:
        """Whether `named` returned a filler for any of these blobs."""
        return any(blob in self._blobs for blob in blobs)

    def check_used(self, blobs: Iterable[str]) -> None:
        """Make sure that every name stands for a blob of a net.

        Args:
            blobs: the names of all its blobs.

        Raises:
            NetError: one of them does not.
        """
        unused = next((name for name in self._fillers if name not in self._used), None)
        if unused is None:
            return
        hint = did_you_mean(nearest(unused, list(blobs)))
        what = "no blob of the net that is filled has such a name" if _ANY in unused else "the net has no such blob"
        raise NetError(f"{option_name('fillers')}: {what}{hint}. Received: name='{unused}'")

    def _take(self, name: str, blob: str) -> caffe_pb2.FillerParameter:
        self._used.add(name)
        self._blobs.add(blob)
        return self._fillers[name]


def _fits(text: str, parts: Sequence[str]) -> bool:
    """Whether a text is these parts with anything between them; takes as long as the text is, not what it could be."""
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
