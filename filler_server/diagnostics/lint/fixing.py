"""Mends that are certain, as edits of the text: all of it that is not at fault stays as it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from filler_server.diagnostics.lint.checking import Found, check_file
from filler_server.diagnostics.lint.findings import Finding
from filler_server.diagnostics.lint.planning import nets_of, states_of
from filler_server.diagnostics.lint.selection import Selection
from filler_server.diagnostics.lint.source import Source
from filler_server.diagnostics.lint.subject import Inputs, Net, NetFile
from filler_server.net.plan import Shape
from filler_server.prototxt.content import decode
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import DEFAULT_LIMITS, read_net
from filler_server.prototxt.rewrite import file_kind, upgrade_text
from filler_server.prototxt.rewrite.file import encode
from filler_server.prototxt.rewrite.message import Rewriter

_ROUNDS = 64
"""Mends, or kinds of mends, of one file: each reads and plans it once more."""

_NO_SHAPES: Inputs = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fixed:
    """A file after its mends.

    Attributes:
        data: the file; that which was given, where nothing was mended.
        findings: those that were mended.
    """

    data: bytes
    findings: tuple[Finding, ...]


def fix_file(
    data: bytes,
    name: str,
    selection: Selection,
    *,
    inputs: Inputs = _NO_SHAPES,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> Fixed:
    """Mend what is found in a text where that is certain; binary files stay as they are.

    Fields and values that misspell a known one are corrected, a net in an old format is upgraded, and fields that do
    nothing are removed; rates of statistics become 0. A net plans to the same shapes afterwards, unless it could not be
    read before; a mend with which it does not is left out. Comments stay; those inside of a field that is removed move
    in front of it.

    Args:
        data: the whole file.
        name: what to call it in findings.
        selection: the rules that count.
        inputs: shapes of inputs of the net by name.
        limits: how much the file may ask for.
    """
    mended: list[Finding] = []
    left: set[tuple[str, str]] = set()
    alone = False
    for _ in range(_ROUNDS):
        checked = check_file(data, name, selection, inputs=inputs, limits=limits)
        wanted = [found for found in checked.found if found.rule.fixes and _key(found) not in left]
        if not wanted:
            break
        attempt = _attempt(data, wanted[:1] if alone else wanted, limits)
        if attempt is None and not alone:
            break
        result, done = attempt or (data, wanted[:1])
        if result != data and _holds(data, result, done, inputs, limits):
            data = result
            mended += [found.finding for found in done]
        elif alone or len(done) == 1:
            left.update(map(_key, done))
        else:
            # One of them is at fault: from here on they are tried one after the other.
            alone = True
    return Fixed(data, tuple(mended))


def _attempt(data: bytes, wanted: Sequence[Found], limits: ReadLimits) -> tuple[bytes, list[Found]] | None:
    """Return the text with the mends of one kind, and these; None where there are none to make."""
    renames = [found for found in wanted if found.hit.rename is not None]
    if renames:
        return _renamed(data, renames, limits), renames
    try:
        document = read_net(data, limits=limits, lenient=True)
        if document.format != "text":
            return None
        if document.changes:
            # What the upgrade changes it changes at once: rates of a BatchNorm's statistics, too.
            is_batch_norm = all("BatchNorm" in change.message for change in document.changes)
            code = "FIL022" if is_batch_norm else "FIL031"
            done = [found for found in wanted if found.rule.code == code]
            return (upgrade_text(data, limits=limits, lenient=True).data, done) if done else None
    except FillerError:
        return None
    menders = [found for found in wanted if found.hit.mender is not None]
    return (_rewritten(data, menders, limits), menders) if menders else None


def _renamed(data: bytes, renames: Sequence[Found], limits: ReadLimits) -> bytes:
    text = decode(data)
    rewriter = Rewriter(text, limits)
    for found in renames:
        rename = found.hit.rename
        assert rename is not None  # noqa: S101 - it was chosen by that
        rewriter.edits.replace(rename.offset, rename.offset + len(rename.old), rename.new)
    return encode(rewriter.edits.apply(), data)


def _rewritten(data: bytes, menders: Sequence[Found], limits: ReadLimits) -> bytes:
    document = read_net(data, limits=limits, lenient=True)
    text = decode(data)
    source, rewriter = Source(text, limits), Rewriter(text, limits)
    blocks = source.layers(document.layer_lines)
    changed: dict[int, caffe_pb2.LayerParameter] = {}
    for found in menders:
        index, mender = found.hit.layer, found.hit.mender
        if index is None or mender is None or blocks[index] is None:
            continue
        if index not in changed:
            changed[index] = caffe_pb2.LayerParameter()
            changed[index].CopyFrom(document.net.layer[index])
        mender(changed[index])
    for index, layer in changed.items():
        block = blocks[index]
        assert block is not None  # noqa: S101 - it was looked at above
        rewriter.rewrite(block[1], document.net.layer[index], layer)
    return encode(rewriter.edits.apply(), data)


def _holds(before: bytes, after: bytes, done: Sequence[Found], inputs: Inputs, limits: ReadLimits) -> bool:
    """Whether a text after its mends can be read, and plans to the same shapes as before."""
    try:
        olds, news = (_nets(data, inputs, limits) for data in (before, after))
    except FillerError:
        return False
    if len(olds) != len(news):
        return False
    # A file with a misspelled name is refused as it is, so that there are no shapes to keep.
    renamed = any(found.hit.rename is not None for found in done)
    return all(map(_refuses_no_more, olds, news)) and (renamed or all(map(_plans_alike, olds, news)))


def _nets(data: bytes, inputs: Inputs, limits: ReadLimits) -> list[Net]:
    """Return the nets of a file in all states; none of a solver."""
    if file_kind(data, limits) == "solver":
        return []
    file = NetFile("", read_net(data, limits=limits, lenient=True), None)
    return nets_of(file, states_of(file), inputs)


def _refuses_no_more(old: Net, new: Net) -> bool:
    return {refused.layer for refused in new.refused} <= {refused.layer for refused in old.refused}


def _plans_alike(old: Net, new: Net) -> bool:
    """Whether a net has the same layers with the same shapes, as far as they were known before."""
    known = {layer.name: layer for layer in new.plan.layers}
    refused = {old.file.layers[each.layer].name for each in old.refused if each.layer is not None}
    for layer in old.plan.layers:
        other = known.get(layer.name)
        if layer.name in refused:
            continue
        if other is None or other.type != layer.type or len(other.blobs) != len(layer.blobs):
            return False
        before = [*(top.shape for top in layer.tops), *(blob.shape for blob in layer.blobs)]
        after = [*(top.shape for top in other.tops), *(blob.shape for blob in other.blobs)]
        if not all(map(_fits, before, after)):
            return False
    return True


def _fits(before: Shape, after: Shape) -> bool:
    """Whether a shape is the one that it was, but for what was not known of that."""
    if before is None or after is None:
        return before is None
    return len(before) == len(after) and all(dim in (None, now) for dim, now in zip(before, after, strict=True))


def _key(found: Found) -> tuple[str, str]:
    """Return what tells a finding, wherever it stands after other mends."""
    return found.rule.code, f"{found.finding.layer}: {found.finding.message}"
