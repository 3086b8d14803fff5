"""Lint: likely mistakes in nets and solvers, found without running them."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.files import read_file
from caffe_filler.interface import option_name
from caffe_filler.nearest import did_you_mean, nearest
from filler_client._requests import MOST_FILE_BYTES, NetLike, PartialShape, net_bytes
from filler_client._solver_files import find

if TYPE_CHECKING:
    from caffe_filler.caffe.caffe_pb2 import NetState
    from filler_server.diagnostics.lint.checking import Checked, Found
    from filler_server.diagnostics.lint.findings import Finding, Findings
    from filler_server.diagnostics.lint.fixing import Fixed
    from filler_server.diagnostics.lint.registry import Rule
    from filler_server.diagnostics.lint.selection import Selection
    from filler_server.diagnostics.lint.subject import Net
    from filler_server.net.plan import Shape
    from filler_server.prototxt.document import SolverDocument
    from filler_server.prototxt.solver import NetChoice

LintLike: TypeAlias = NetLike | Sequence[NetLike]
"""A net or a solver, the path of a folder with some, or several of these."""

_ENDING = ".prototxt"
_UNNAMED = "net"


def lint(
    nets: LintLike,
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    inputs: Mapping[str, PartialShape] | None = None,
) -> "Findings":
    """Return likely mistakes in nets and solvers; the result shows as a table in a notebook.

    Nothing is generated and nothing is run. A net is looked at in TRAIN and TEST, and with each stage that it names; of
    a net that Caffe refuses in parts, the rest is looked at all the same. A solver is looked at with its nets.

    Args:
        nets: prototxt text, the bytes of a file, a message, or the path of a file or a folder, in which it is every
            file that ends with .prototxt and is a net or a solver; or several of these.
        select: codes of rules, or their beginnings, that alone count; all by default.
        ignore: codes, or their beginnings, that do not count.
        inputs: shapes of data that the nets do not know, by the names of tops; None for a dimension that is not known.

    Raises:
        InvalidArgument: a code that no rule has, or an input that no net has.
        OSError: a file cannot be read.

    Example:
        lint(Path("train_val.prototxt"), inputs={"data": (256, 3, 227, 227)}, ignore=["FIL009"])
    """
    from filler_server.diagnostics.lint.findings import Findings
    from filler_server.diagnostics.lint.selection import Selection

    run = _Run(Selection.of(select, ignore), _shapes(inputs))
    for name, data in _files(nets):
        run.file(name, data)
    run.check_inputs()
    return Findings(run.findings)


def fix(
    net: NetLike,
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    inputs: Mapping[str, PartialShape] | None = None,
) -> "Fixed":
    """Return a net or solver with those mistakes mended for which the mend is certain, and what was mended.

    Lines that need no change stay as they are, comments included. A net plans to the same shapes afterwards, unless it
    could not be read before. Nothing is written.

    Args:
        net: prototxt text, the bytes or path of a file; of binary ones nothing is mended.
        select: codes of rules, or their beginnings, that alone count; all by default.
        ignore: codes, or their beginnings, that do not count.
        inputs: shapes of data that the net does not know, by the names of tops.

    Raises:
        InvalidArgument: a code that no rule has.
        OSError: the file cannot be read.
    """
    from filler_server.diagnostics.lint.fixing import fix_file
    from filler_server.diagnostics.lint.selection import Selection

    name = os.fspath(net) if isinstance(net, os.PathLike) else _UNNAMED
    return fix_file(net_bytes(net), name, Selection.of(select, ignore), inputs=_shapes(inputs))


def lint_rules() -> "Mapping[str, Rule]":
    """Return the rules of `lint` by their codes: name, severity, reason, mend and a page of documentation each."""
    from filler_server.diagnostics.lint.registry import rules

    return rules()


@dataclass
class _Run:
    """The files of one call, each file looked at once, and what was found."""

    selection: "Selection"
    inputs: "Mapping[str, Shape]"
    findings: "list[Finding]" = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    seen: "set[tuple[object, ...]]" = field(default_factory=set)

    def file(self, name: str, data: bytes) -> None:
        checked = self._check(name, data)
        self._add(checked.found)
        if checked.solver is not None:
            self._solver(Path(name), checked.solver)

    def check_inputs(self) -> None:
        for name in self.inputs:
            if name not in self.names:
                hint = did_you_mean(nearest(name, self.names))
                what = f"{option_name('inputs')}: no net has an input of this name{hint}"
                raise InvalidArgument(f"{what}. Received: {name!r}", field="inputs")

    def _check(self, name: str, data: bytes, states: "Sequence[NetState]" = (), trained: bool = False) -> "Checked":
        from filler_server.diagnostics.lint.checking import check_file

        checked = check_file(data, name, self.selection, inputs=self.inputs, states=states, trained=trained)
        for net in checked.nets[:1]:
            self.names.update(top for layer in net.file.layers for top in (*layer.top, *layer.bottom))
        return checked

    def _solver(self, path: Path, document: "SolverDocument") -> None:
        """Look at the nets of a solver, in the states in which it makes them."""
        from filler_server.diagnostics.lint.checking import check_pairs
        from filler_server.prototxt.solver import solver_nets

        try:
            nets = solver_nets(document.solver)
        except FillerError:
            # The rule about refused solvers tells of it.
            return
        train = self._choice(path, nets.train, trained=bool(nets.weights))
        tests = [self._choice(path, choice, trained=bool(nets.weights)) for choice in nets.tests]
        if train is not None:
            self._add(check_pairs(train, [test for test in tests if test is not None], self.selection))

    def _choice(self, solver: Path, choice: "NetChoice", *, trained: bool) -> "Net | None":
        from filler_server.prototxt import read_net

        try:
            name, data = _net_of(solver, choice)
        except FileNotFoundError as error:
            self._refuse(solver, str(error))
            return None
        try:
            own = read_net(data, lenient=True).net.state
        except FillerError:
            self._add(self._check(name, data).found)
            return None
        checked = self._check(name, data, [choice.state(own)], trained)
        self._add(checked.found)
        return checked.nets[0] if checked.nets else None

    def _refuse(self, solver: Path, message: str) -> None:
        from filler_server.diagnostics.lint.findings import Finding
        from filler_server.diagnostics.lint.registry import rule_of
        from filler_server.diagnostics.lint.solvers import REFUSED

        rule = rule_of(REFUSED)
        if rule.code in self.selection.codes:
            finding = Finding(rule.code, rule.severity, str(solver), 1, 1, None, message, rule.mend)
            self._keep(finding)

    def _add(self, found: "Iterable[Found]") -> None:
        for one in found:
            self._keep(one.finding)

    def _keep(self, finding: "Finding") -> None:
        place = finding.line, finding.column, finding.layer
        key = os.path.realpath(finding.file), finding.code, *place, finding.message if place == (None,) * 3 else ""
        if key not in self.seen:
            self.seen.add(key)
            self.findings.append(finding)


def _net_of(solver: Path, choice: "NetChoice") -> tuple[str, bytes]:
    """Return name and bytes of a net that a solver means."""
    if not isinstance(choice.source, str):
        return f"{solver}:{choice.field}", choice.source.SerializePartialToString()
    path, _ = find(choice.source, solver)
    return str(path), read_file(path, MOST_FILE_BYTES)


def _files(nets: LintLike) -> Iterator[tuple[str, bytes]]:
    """Yield names and bytes of the files of all that was given."""
    several = isinstance(nets, Sequence) and not isinstance(nets, str | bytes | bytearray | memoryview)
    given: Sequence[Any] = nets if several else [nets]  # type: ignore[assignment]
    for net in given:
        if isinstance(net, os.PathLike) and Path(net).is_dir():
            for path in sorted(Path(net).rglob(f"*{_ENDING}")):
                if path.is_file() and _is_caffes(data := read_file(path, MOST_FILE_BYTES)):
                    yield str(path), data
        elif isinstance(net, os.PathLike):
            yield os.fspath(net), read_file(Path(net), MOST_FILE_BYTES)
        else:
            yield _UNNAMED, net_bytes(net)


def _is_caffes(data: bytes) -> bool:
    """Whether a file has any outermost field of a net or a solver, or is malformed; others have that ending, too."""
    from caffe_filler.caffe import caffe_pb2
    from filler_server.prototxt.content import decode
    from filler_server.prototxt.reader import DEFAULT_LIMITS
    from filler_server.prototxt.rewrite.syntax import read_entries

    try:
        entries, malformed = read_entries(decode(data), DEFAULT_LIMITS)
    except FillerError:
        return True
    known = {*caffe_pb2.NetParameter.DESCRIPTOR.fields_by_name, *caffe_pb2.SolverParameter.DESCRIPTOR.fields_by_name}
    return malformed is not None or any(entry.name in known for entry in entries)


def _shapes(inputs: Mapping[str, PartialShape] | None) -> "dict[str, Shape]":
    return {name: tuple(shape) for name, shape in (inputs or {}).items()}
