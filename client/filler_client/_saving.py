"""A net into a file: filled, or copied from trained weights where they have it."""

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option, option_name
from caffe_filler.printable import counted
from filler_client._content import Names, Pieces, opened_net
from filler_client._finetune import FinetuneOptions, WeightsLike
from filler_client._manifests import complete, manifest_path, write_manifest
from filler_client._requests import NetLike

if TYPE_CHECKING:
    from filler_server.digests import Manifest
    from filler_server.net.plan import NetPlan
    from filler_server.tensors import Advance
    from filler_server.weights.merge import MergePlan


class SaveOptions(TypedDict, total=False):
    """Options on which a file depends besides its values.

    Attributes:
        names: how tensors are called: caffe (the default), `<layer>/<blob index>`; or torch, as the state_dict of
            matching modules has them.
        ignore_shape: whether blobs whose shapes differ from those of the weights are filled rather than being an error.
        reshape: whether weights whose axes are joined or split otherwise are copied.
        max_shard_bytes: a .safetensors that would hold more is written as several files with an index.
        allow_missing: whether a file is written although a layer must have blobs that are not known, or the net has
            none at all.
        manifest: where to write the manifest, a .json: the digest of each tensor and where it comes from. A
            .safetensors has it in its metadata in any case.
        keep_complete: whether a file stays as it is whose manifest, in it or at `manifest`, says that it is what would
            be written. Its values are not read; `verify` holds them to the manifest. Those of the files of a `part` are
            read, and held to it.
        part: number of a part, from 1, and number of parts, of a set of files that several processes write: those of
            this part are written, and no index.
        finish: whether, in place of writing, the files of all parts are held to their manifests and the index is
            written.
        advance: is told the bytes of each step and the tensor that they belong to.
    """

    names: Names
    ignore_shape: bool
    reshape: bool
    max_shard_bytes: int | None
    allow_missing: bool
    manifest: str | PathLike[str] | None
    keep_complete: bool
    part: tuple[int, int] | None
    finish: bool
    advance: "Advance | None"


@dataclass(frozen=True, slots=True)
class SavedNet:
    """A net that has been written.

    Attributes:
        path: the file to open: of several files their index; of a part its first file, or where there is none the one
            that was named.
        files: all files, that one first.
        tensors: number of tensors.
        nbytes: length of all values in bytes.
        notes: what a user of the file should know.
        warnings: what may well be wrong with it.
        merge: what became of each blob, where trained weights were given.
        manifest: the digest of each tensor, and where it comes from.
        is_kept: whether all of it was complete already, and stayed as it is.
    """

    path: Path
    files: tuple[Path, ...]
    tensors: int
    nbytes: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    merge: "MergePlan | None"
    manifest: "Manifest"
    is_kept: bool = False

    def __repr__(self) -> str:
        return (
            f"SavedNet({str(self.path)!r}, {counted(len(self.files), 'file')}, {counted(self.tensors, 'tensor')}, "
            f"{counted(self.nbytes, 'byte')})"
        )


class SaveNetOptions(FinetuneOptions, SaveOptions, total=False):
    """Options on which a file of a net depends, besides the net and trained weights."""


def save_net(
    pieces: Pieces,
    net: NetLike,
    path: str | PathLike[str],
    weights: WeightsLike | None,
    **options: Unpack[SaveNetOptions],
) -> SavedNet:
    """Write a net to a file; see `FillerClient.save_net`."""
    from filler_server.layouts.layers import beyond_definitions, definitions
    from filler_server.weights.parts import finish, save_part
    from filler_server.weights.saving import format_of, save

    advance, manifest = options.pop("advance", None), manifest_path(options.pop("manifest", None))
    keep_complete, part, finishing = (
        options.pop("keep_complete", False),
        options.pop("part", None),
        options.pop("finish", False),
    )
    if part is not None and finishing:
        raise InvalidArgument(
            f"a part is written or all are finished. Received: {option_name('part')}, {option_name('finish')}"
        )
    if part is not None and manifest is not None:
        raise InvalidArgument(
            f"a manifest of all parts is written with {option('finish')}. Received: {option_name('manifest')}"
        )
    max_shard_bytes, stream = options.pop("max_shard_bytes", None), options.get("stream", "philox")
    target = Path(path)
    needs_net = format_of(target).needs_net
    with opened_net(pieces, net, weights, **options) as content:
        tensors, draft, merge, plan = content.tensors, content.draft, content.merge, content.plan
        if keep_complete and merge is None and part is None and not finishing:
            kept = complete(target, draft.manifest(), tensors, max_shard_bytes, manifest)
            if kept is not None:
                files, found = kept
                nbytes = sum(tensor.nbytes for tensor in tensors)
                return SavedNet(files[0], files, len(tensors), nbytes, content.notes, (), None, found, is_kept=True)
        if manifest is not None:
            # What is not written whole must not have the manifest of what was there before.
            manifest.unlink(missing_ok=True)
        metadata = {"producer": "caffe-filler", "stream": stream, "seed": str(content.seed)}
        sized: Any = {"max_shard_bytes": max_shard_bytes, "draft": draft, "advance": advance}
        if finishing:
            saved = finish(tensors, target, **sized)
        elif part is not None:
            keep_files = keep_complete and merge is None
            saved = save_part(tensors, target, part=part, metadata=metadata, keep_complete=keep_files, **sized)
        else:
            described = definitions(plan.name, plan.layers) if needs_net else None
            saved = save(tensors, target, metadata=metadata, net=described, **sized)
            if needs_net:
                saved = replace(saved, notes=(*saved.notes, *beyond_definitions(plan.layers)))
        assert saved.manifest is not None  # noqa: S101 - for the type checker
        if manifest is not None:
            write_manifest(manifest, saved.manifest)
        plan_of_merge = None if merge is None else merge.plan
    return SavedNet(
        saved.path or target,
        saved.files,
        saved.tensors,
        saved.nbytes,
        (*content.notes, *saved.notes),
        (*_warnings(plan, plan_of_merge), *([] if plan_of_merge is None else map(_idle, plan_of_merge.idle))),
        plan_of_merge,
        saved.manifest,
        is_kept=bool(saved.files) and saved.kept == saved.files,
    )


def part_sizes(
    pieces: Pieces, net: NetLike, path: Path, *, asked: str, max_shard_bytes: int | None = None, **options: Any
) -> list[int]:
    """Return the length of the values of each file that all parts of a net write, which is not filled.

    Args:
        pieces: fills.
        net: as for `save_net`.
        path: likewise.
        asked: name of the option for which the net is divided.
        max_shard_bytes: length of a file.
        options: those of `save_net` on which tensors depend.

    Raises:
        InvalidArgument: the format is not written in several files, or no length is given.
        FillerError: one of the tree in `caffe_filler.errors`.
    """
    from filler_server.weights.parts import files_of

    with opened_net(pieces, net, None, **options) as content:
        files = files_of(content.tensors, path, max_shard_bytes, asked)
    return [sum(tensor.nbytes for tensor in tensors) for _, tensors in files]


def _idle(file: Path) -> str:
    return f"nothing is copied from {file}: its layers have other names than those of the net"


def _warnings(plan: "NetPlan", merge: "MergePlan | None") -> tuple[str, ...]:
    filled = [blob.name for blob in plan.blobs if not blob.given] if merge is None else merge.missing
    if not filled or any(layer.has_filler and layer.blobs for layer in plan.layers):
        return ()
    return ("no layer has a filler: its blobs are filled as Caffe does then, with zeros",)
