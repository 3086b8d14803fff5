"""The rules over files: from bytes to findings."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from caffe_filler.printable import counted
from filler_server.cancellation import checkpoint
from filler_server.diagnostics.lint.findings import Finding
from filler_server.diagnostics.lint.format import UNREADABLE
from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.ignores import Ignores
from filler_server.diagnostics.lint.planning import nets_of, states_of
from filler_server.diagnostics.lint.registry import Rule, Scope, rules
from filler_server.diagnostics.lint.selection import Selection
from filler_server.diagnostics.lint.source import Source
from filler_server.diagnostics.lint.subject import Inputs, Net, NetFile, NetPair, SolverFile
from filler_server.prototxt.content import decode
from filler_server.prototxt.document import SolverDocument
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import DEFAULT_LIMITS, read_net, read_solver
from filler_server.prototxt.report import Place
from filler_server.prototxt.rewrite import file_kind

_LISTED = 8
"""Further layers that a collapsed finding names."""

_MOST_HITS = 1000
"""Hits of one rule in one net; nobody reads more."""

_NO_SHAPES: Inputs = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, with the hit and the rule that it is of."""

    finding: Finding
    hit: Hit
    rule: Rule


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that was looked at.

    Attributes:
        found: the findings, in the order of their lines.
        nets: the nets of a net file, one for each state.
        solver: the solver that the file is, or None.
    """

    found: tuple[Found, ...]
    nets: tuple[Net, ...] = ()
    solver: SolverDocument | None = None


def check_file(
    data: bytes,
    name: str,
    selection: Selection,
    *,
    inputs: Inputs = _NO_SHAPES,
    states: Sequence[caffe_pb2.NetState] = (),
    trained: bool = False,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> Checked:
    """Look at a net or a solver, text or binary; a file that cannot be read is a finding.

    Args:
        data: the whole file.
        name: what to call it in findings.
        selection: the rules that count.
        inputs: shapes of inputs of nets by name; other names do nothing.
        states: those in which to look at a net; by default TRAIN and TEST, with each stage that its rules name.
        trained: whether the weights that the net starts from are trained.
        limits: how much the file may ask for.

    Raises:
        ShapeError: a shape that no blob can have.
    """
    try:
        is_net = file_kind(data, limits) == "net"
        read = read_net if is_net else read_solver
        document = read(data, limits=limits, lenient=True)
    except FillerError as error:
        return Checked(_unreadable(error, name, selection))
    source = Source(decode(data), limits) if document.format == "text" else None
    hits = _looks("text", [source] if source else [], selection)
    if isinstance(document, SolverDocument):
        hits += _looks("solver", [SolverFile(document, source)], selection)
        return Checked(_found(hits, name, source, None), solver=document)
    file = NetFile(name, document, source, trained)
    nets = nets_of(file, states_of(file, states), inputs)
    hits += _looks("file", [file], selection)
    hits += _looks("net", nets, selection)
    if not states:
        hits += _looks("pair", _pairs(nets), selection)
    return Checked(_found(hits, name, source, file), tuple(nets))


def check_pairs(train: Net, tests: Iterable[Net], selection: Selection) -> tuple[Found, ...]:
    """Look at a train net and the test nets that take its weights; findings are about these."""
    found: list[Found] = []
    for test in tests:
        hits = _looks("pair", [NetPair(train, test)], selection)
        found += _found(hits, test.file.name, test.file.source, test.file)
    return tuple(found)


def _pairs(nets: Sequence[Net]) -> list[NetPair]:
    """Return the nets of one file that differ in their phase alone."""
    by_stages = {tuple(net.state.stage): net for net in nets if net.plan.phase == "TRAIN"}
    tests = (net for net in nets if net.plan.phase == "TEST")
    return [NetPair(train, test) for test in tests if (train := by_stages.get(tuple(test.state.stage))) is not None]


def _looks(scope: Scope, subjects: Sequence[Any], selection: Selection) -> list[tuple[Rule, Hit]]:
    hits = []
    for rule in rules().values():
        if rule.scope == scope and rule.code in selection.codes:
            for subject in subjects:
                checkpoint()
                found = list(islice(rule.look(subject), _MOST_HITS + 1))
                if len(found) > _MOST_HITS:
                    found[-1] = Hit(f"more than {_MOST_HITS} findings of this rule; the rest is not listed")
                hits += [(rule, hit) for hit in found]
    return hits


def _found(
    hits: Iterable[tuple[Rule, Hit]], name: str, source: Source | None, file: NetFile | None
) -> tuple[Found, ...]:
    """Return the findings of hits: each once, without those that comments ignore, and collapsed where wanted."""
    blocks = [] if file is None else file.blocks
    ignores = None if source is None else Ignores(source, blocks)
    kept: dict[tuple[object, ...], Found] = {}
    for rule, hit in hits:
        key = rule.code, hit.layer, hit.path, hit.place
        if key not in kept:
            line, column = _place(hit, source, blocks) or (None, None)
            layer = hit.name if hit.layer is None or file is None else file.layers[hit.layer].name or None
            mend = hit.mend or rule.mend
            finding = Finding(rule.code, rule.severity, name, line, column, layer, hit.message, mend)
            if ignores is None or not ignores.ignores(rule.code, line):
                kept[key] = Found(finding, hit, rule)
    found = sorted(kept.values(), key=_order)
    return tuple(_collapsed(found))


def _order(found: Found) -> tuple[int, int, int, str]:
    finding = found.finding
    return finding.line or 0, finding.column or 0, found.hit.layer or 0, finding.code


def _collapsed(found: Sequence[Found]) -> list[Found]:
    """Return the findings, those of one rule that collapses as the first of them."""
    groups: dict[str, list[Found]] = defaultdict(list)
    for one in found:
        if one.rule.collapse:
            groups[one.rule.code].append(one)
    result = []
    for one in found:
        group = groups.get(one.rule.code)
        if group is None:
            result.append(one)
        elif one is group[0]:
            more = [
                f"'{other.finding.layer}'{f' ({other.hit.short})' if other.hit.short else ''}" for other in group[1:]
            ]
            left = f" and {len(more) - _LISTED} more" if len(more) > _LISTED else ""
            also = (
                f"; the same in {counted(len(more), 'more layer')}: {', '.join(more[:_LISTED])}{left}" if more else ""
            )
            result.append(replace(one, finding=replace(one.finding, message=one.finding.message + also)))
    return result


def _place(hit: Hit, source: Source | None, blocks: "Sequence[Any]") -> Place | None:
    if source is None or hit.place is not None:
        return hit.place
    if hit.layer is not None and hit.layer < len(blocks) and blocks[hit.layer] is not None:
        return source.field_place(blocks[hit.layer], hit.path)
    if hit.layer is None and hit.path:
        found = [entry for entry in source.entries if entry.name == hit.path[0]]
        return source.place(found[0].start) if found else (1, 1)
    return (1, 1)


def _unreadable(error: FillerError, name: str, selection: Selection) -> tuple[Found, ...]:
    rule = rules()[UNREADABLE]
    if rule.code not in selection.codes:
        return ()
    finding = Finding(rule.code, rule.severity, name, error.line, error.column, error.layer, error.reason, rule.mend)
    return (Found(finding, Hit(error.reason), rule),)
