"""One record for each format of files of weights."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeAlias

from caffe_filler.caffe.caffe_pb2 import NetParameter
from filler_server.digests import Draft
from filler_server.output import OpenFile
from filler_server.prototxt.report import Problem
from filler_server.tensors import Tensor
from filler_server.weights.file import StoredLayer
from filler_server.weights.mapped import MappedFile
from filler_server.weights.writer import Writer

Target: TypeAlias = Path | BinaryIO | OpenFile


@dataclass(frozen=True, slots=True)
class Contents:
    """Findings of a reader in a file.

    Attributes:
        tensors: in the order of the file.
        layers: the same by layers; None where only the names of the tensors tell them.
        net: the net as the file describes it, in the current format and without values.
        text: the same as text, where the file says more than `net` can hold: fields of forks.
        metadata: what else the file says of itself.
        problems: what was passed over.
    """

    tensors: tuple[Tensor, ...]
    layers: tuple[StoredLayer, ...] | None = None
    net: NetParameter | None = None
    text: bytes | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Extras:
    """Contents of a file besides tensors, where its format has room for it.

    Attributes:
        metadata: what the file says of itself.
        net: the layers, in the current format.
        max_shard_bytes: what would be longer is written as several files.
        draft: the manifest, whose digests are there when the last tensor of a file is.
    """

    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    net: NetParameter | None = None
    max_shard_bytes: int | None = None
    draft: Draft | None = None


Read: TypeAlias = Callable[[MappedFile, Path, ExitStack], Contents]
"""Reads what describes the tensors of a file, which lies at a path; what it opens besides belongs to the stack."""

OpenWriter: TypeAlias = Callable[[Target, Sequence[Tensor], Extras], Writer]
"""Opens a writer of tensors."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files of weights.

    Attributes:
        name: what it is called.
        recognizes: tells by the content whether a file is of this format.
        read: reads it.
        endings: what the names of files to be written end in; none where it is only read.
        open_writer: writes it.
        has_signature: whether that is certain; the others are asked after all that are.
        has_shards: whether it can be written as several files.
        needs_net: whether it is written with the layers of a net.
        keeps_legacy: whether it can say of a shape that it is one from before Caffe's BlobShape.
    """

    name: str
    recognizes: Callable[[MappedFile], bool]
    read: Read
    endings: tuple[str, ...] = ()
    open_writer: OpenWriter | None = None
    has_signature: bool = True
    has_shards: bool = False
    needs_net: bool = False
    keeps_legacy: bool = False
