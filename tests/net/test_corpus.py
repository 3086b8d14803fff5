"""Every real file gives a plan, a plan with reports, or a clean error; `pytest -s` prints the table.

What counts as sized: each blob of the layers before the first one whose type is unknown (a type that nobody knows, a
fork's layer that does not fit, a Python layer) has a shape without a gap, in one state that the file's own rules name.
It is counted twice: for the file alone, and with a shape declared for each data top that the planner asks for.
"""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from filler_server.net.plan import Layer, NetPlan, Shape
from filler_server.net.planner import plan_net
from filler_server.net.registry import layer_type
from filler_server.prototxt import read_net, read_solver
from filler_server.prototxt.document import NetDocument

TROUBLE = ("unknown layer type", "is another one here", "was not read")


@dataclass(frozen=True)
class Outcome:
    """Outcome of a file: one of `planned`, `reports`, `open`, `refused`, `unread`, `read`; and why."""

    kind: str
    cause: str = ""
    sized: bool = False
    sized_with_inputs: bool = False
    unknown_types: frozenset[str] = frozenset()


def states(document: NetDocument) -> Iterator[tuple[caffe_pb2.Phase, tuple[str, ...]]]:
    """The states that the rules of a net name: each phase, without stages and with those of any rule."""
    rules = [rule for layer in document.net.layer for rule in (*layer.include, *layer.exclude)]
    stages = dict.fromkeys(
        [(), *(tuple(rule.stage) for rule in rules), *((stage,) for r in rules for stage in r.not_stage)]
    )
    return itertools.product((caffe_pb2.TEST, caffe_pb2.TRAIN), itertools.islice(stages, 16))


def known_before(plan: NetPlan) -> Iterator[Layer]:
    """The layers before the first one of which the planner knows nothing."""
    troubled = {(w.layer, w.line) for w in plan.warnings if any(words in w.message for words in TROUBLE)}
    for layer in plan.layers:
        opaque = layer.type == "Python" and any(top.shape is None for top in layer.tops)
        if layer_type(layer.type) is None or (layer.name, layer.line) in troubled or opaque:
            return
        yield layer


def is_known(shape: Shape) -> bool:
    return shape is not None and None not in shape


def sized(plan: NetPlan) -> bool:
    return all(is_known(blob.shape) for layer in known_before(plan) for blob in layer.blobs)


def asked_for(plan: NetPlan, side: int, colors: int) -> dict[str, Shape]:
    """A shape for each data top that a warning asks for, as somebody who knows the data would give it."""
    wanted = {name for warning in plan.warnings for name in re.findall(r"[{ ]'(\S+?)': \(", warning.message)}
    inputs: dict[str, Shape] = {}
    for layer in plan.layers:
        for index, top in enumerate(layer.tops):
            if layer.bottoms or top.name not in wanted:
                continue
            typical: Shape = (1, colors, side, side) if index == 0 else (1,)
            if top.shape is not None:
                typical = {4: (1, colors, side, side), 5: (1, colors, 16, side, side)}.get(len(top.shape), top.shape)
            known = top.shape or (None,) * len(typical or ())
            inputs[top.name] = tuple(mine or theirs or 1 for mine, theirs in zip(known, typical or (), strict=True))
    return inputs


def plans(document: NetDocument) -> Iterator[tuple[NetPlan | FillerError, caffe_pb2.Phase, tuple[str, ...]]]:
    for phase, stages in states(document):
        try:
            yield plan_net(document, phase=phase, stages=stages), phase, stages
        except FillerError as error:
            yield error, phase, stages


def with_inputs(document: NetDocument, plan: NetPlan | None, phase: caffe_pb2.Phase, stages: tuple[str, ...]) -> bool:
    for side, colors in itertools.product((224, 227, 300, 32, 28), (3, 1, 2)):
        inputs: Mapping[str, Shape] = {} if plan is None else asked_for(plan, side, colors)
        if plan is None:
            inputs = {str(name): (1, colors, side, side) for name in document.open_inputs.values[:1]}
            inputs |= {str(name): (1,) for name in document.open_inputs.values[1:]}
        if not inputs:
            return False
        try:
            if sized(plan_net(document, phase=phase, stages=stages, inputs=inputs)):
                return True
        except FillerError:
            continue
    return False


def outcome(data: bytes) -> Outcome:
    """Return the outcome of a file that may be a net."""
    try:
        document = read_net(data)
    except FillerError as error:
        return Outcome("unread", error.message)
    best: Outcome | None = None
    for plan, phase, stages in plans(document):
        if isinstance(plan, FillerError):
            complete = with_inputs(document, None, phase, stages)
            this = Outcome("refused", plan.message, sized_with_inputs=complete)
        else:
            whole = sized(plan)
            complete = whole or with_inputs(document, plan, phase, stages)
            unknown = [blob for blob in plan.blobs if not is_known(blob.shape)]
            kind = "open" if unknown else "reports" if plan.warnings else "planned"
            first = plan.warnings[0] if plan.warnings else ""
            strange = frozenset(layer.type for layer in plan.layers if layer_type(layer.type) is None)
            this = Outcome(kind, str(first), whole, complete, strange)
        rank = ("refused", "open", "reports", "planned").index
        if best is None or (this.sized, this.sized_with_inputs, rank(this.kind)) > (
            best.sized,
            best.sized_with_inputs,
            rank(best.kind),
        ):
            best = this
        if best.sized:
            break
    assert best is not None
    return best


@pytest.fixture(scope="module")
def corpus(shared: Path) -> list[tuple[dict[str, str], bytes]]:
    folder = shared / "corpus"
    with (folder / "MANIFEST.tsv").open(newline="") as file:
        return [(row, (folder / row["file"]).read_bytes()) for row in csv.DictReader(file, delimiter="\t")]


def test_every_net_of_the_corpus(corpus: list[tuple[dict[str, str], bytes]]) -> None:
    nets = [(row, outcome(data)) for row, data in corpus if row["kind"] == "net"]
    counts = Counter(result.kind for _, result in nets)
    alone = sum(result.sized for _, result in nets)
    given = sum(result.sized_with_inputs for _, result in nets)
    print(f"\n{len(nets)} nets: {counts['planned']} planned fully, {counts['reports']} with reports,")
    print(f"{counts['open']} with unknown dimensions, {counts['refused'] + counts['unread']} refused.")
    print(f"Every blob before the first unknown layer type sized: {alone} alone, {given} with the inputs asked for.")
    strange = Counter(name for _, result in nets for name in result.unknown_types)
    print("Types that stay unknown: " + ", ".join(f"{name} {number}" for name, number in strange.most_common()))
    for row, result in nets:
        if not result.sized_with_inputs or result.kind in ("refused", "unread"):
            print(f"  {result.kind:8} {row['file']}\n           {result.cause[:200]}")
    assert given >= 0.95 * len(nets)
    # Nothing that real Caffe takes is refused: what it upgrades and then cannot set up is refused here, too.
    refused = {
        row["file"] for row, result in nets if result.kind in ("refused", "unread") and row["real_caffe"] == "ok"
    }
    golden = {row["file"] for row, _ in nets if row["bvlc_strict"] == "ok"} - refused
    assert len(golden) >= 50
    assert all(result.sized_with_inputs for row, result in nets if row["file"] in refused)


def test_every_other_file_of_the_corpus(corpus: list[tuple[dict[str, str], bytes]]) -> None:
    """Files of other kinds are read as a net and as a solver: a plan, a solver, or an error of ours."""
    lines = []
    for row, data in corpus:
        if row["kind"] == "net":
            continue
        result = outcome(data)
        if result.kind == "unread":
            try:
                read_solver(data)
                result = Outcome("read")
            except FillerError as error:
                result = Outcome("unread", error.message)
        lines.append((row["kind"], result.kind, row["file"], result.cause))
        if row["kind"] == "solver" and row["bvlc_strict"] == "ok":
            assert result.kind == "read", row["file"]
        if row["kind"] == "caffemodel":
            assert result.kind in ("planned", "reports", "open"), (row["file"], result.cause)
    assert {"solver", "caffemodel"} <= {kind for kind, *_ in lines}
    print()
    for (kind, result_kind), number in sorted(Counter((kind, result) for kind, result, _, _ in lines).items()):
        print(f"{number:4} {kind:12} {result_kind}")
    for kind, result_kind, file, cause in lines:
        if result_kind in ("refused", "unread"):
            print(f"  {kind:12} {file}\n               {cause[:150]}")
