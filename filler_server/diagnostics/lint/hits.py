"""A hit: what a rule finds at one place, before it is known what becomes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.report import Place

Mender: TypeAlias = Callable[[caffe_pb2.LayerParameter], None]
"""Changes the layer of a hit so that the rule does not find it again."""


@dataclass(frozen=True, slots=True)
class Rename:
    """A word of the text to replace: its offset, the word, and what it should be."""

    offset: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where a rule does not hold.

    Attributes:
        message: what is wrong.
        layer: index of the layer in the net of the document; None for the file as a whole.
        path: names of fields from the layer to the place, as in `("convolution_param", "weight_filler")`; the second
            `param` is `param[1]`. The place is that of the deepest field that the text has.
        place: line and column, where they are not those of a field of a layer.
        name: name of the layer, where the index is not known.
        mend: what would mend it; None: the rule's own words.
        short: a word on this layer for the list of several, such as its gain.
        mender: how to mend it, where that is certain.
        rename: likewise, as an edit of the text.
    """

    message: str
    layer: int | None = None
    path: tuple[str, ...] = ()
    place: Place | None = None
    name: str | None = None
    mend: str | None = None
    short: str = ""
    mender: Mender | None = None
    rename: Rename | None = None
