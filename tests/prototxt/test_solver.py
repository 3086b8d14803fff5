"""The nets of a solver; the order and the checks are those of Caffe's `InitTrainNet` and `InitTestNets`."""

import csv
from pathlib import Path

import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, LimitExceeded
from filler_server.prototxt import NetChoice, ReadLimits, SolverNets, read_solver, read_text, solver_nets


def nets_of(text: str) -> SolverNets:
    return solver_nets(read_solver(text.encode(), strict=True).solver)


def state(text: str = "") -> caffe_pb2.NetState:
    return read_text(text.encode(), caffe_pb2.NetState, strict=True)[0]


def test_one_net_for_all() -> None:
    nets = nets_of('net: "lenet.prototxt" test_iter: 100 test_interval: 500 random_seed: 1701')
    assert nets == SolverNets(
        NetChoice("net", "lenet.prototxt", caffe_pb2.TRAIN, state()),
        (NetChoice("net", "lenet.prototxt", caffe_pb2.TEST, state()),),
        1701,
    )


def test_no_test_net() -> None:
    assert nets_of('net: "a"').tests == ()
    assert nets_of('train_net: ""').train.source == ""


def test_order_of_test_nets() -> None:
    common = "test_interval: 1 test_iter: [1, 2, 3, 4, 5] test_net: ['c', 'd'] "
    own = "test_net_param { name: 'a' } test_net_param { name: 'b' } "
    for generic, name in (("net: 'e'", "e"), ("net_param { name: 'e' }", "e")):
        nets = nets_of(common + own + generic)
        assert [choice.field for choice in nets.tests] == [
            *("test_net_param", "test_net_param", "test_net", "test_net"),
            generic.split(":")[0].split(" ")[0],
        ]
        sources = [choice.source for choice in (*nets.tests, nets.train)]
        names = [source if isinstance(source, str) else source.name for source in sources]
        assert names == ["a", "b", "c", "d", name, name]


@pytest.mark.parametrize("field", ["net", "train_net"])
def test_paths(field: str) -> None:
    train = nets_of(f"{field}: '../a b.prototxt'").train
    assert (train.field, train.source, train.phase) == (field, "../a b.prototxt", caffe_pb2.TRAIN)


@pytest.mark.parametrize("field", ["net_param", "train_net_param"])
def test_inline_nets(field: str) -> None:
    train = nets_of(f"{field} {{ name: 'n' state {{ level: 3 }} }}").train
    assert train.field == field
    assert isinstance(train.source, caffe_pb2.NetParameter)
    assert train.state(train.source.state) == state("phase: TRAIN level: 3")


def test_states() -> None:
    nets = nets_of(
        "net: 'n' test_interval: 1 test_iter: [1, 1] train_state { level: 2 stage: 'a' } "
        "test_state { stage: 'b' } test_state { phase: TRAIN }"
    )
    own = state("level: 1 stage: 'own'")
    assert nets.train.state(own) == state("phase: TRAIN level: 2 stage: ['own', 'a']")
    assert nets.train.state(state("phase: TEST")).phase == caffe_pb2.TEST
    assert [choice.state(own) for choice in nets.tests] == [
        state("phase: TEST level: 1 stage: ['own', 'b']"),
        state("phase: TRAIN level: 1 stage: 'own'"),
    ]
    assert nets.tests[0].state(state("phase: TRAIN")).phase == caffe_pb2.TRAIN
    assert own == state("level: 1 stage: 'own'")


@pytest.mark.parametrize(
    ("random_seed", "seed"),
    [
        (None, None),
        (-1, None),
        (-5, None),
        (-(2**63), None),
        (0, 0),
        (1701, 1701),
        (2**32 - 1, 2**32 - 1),
        (2**32, 0),
        (2**32 + 1701, 1701),
        (2**63 - 1, 2**32 - 1),
    ],
)
def test_seeds(random_seed: int | None, seed: int | None) -> None:
    assert solver_nets(caffe_pb2.SolverParameter(net="n", random_seed=random_seed)).seed == seed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base_lr: 1", r"exactly one of net, net_param, train_net, train_net_param\. Received: none of them$"),
        ("test_net: 'a' test_iter: 1", r"Received: none of them$"),
        ("net: 'a' train_net: 'b'", r"Received: net, train_net$"),
        ("net_param { } train_net_param { } net: 'a'", r"Received: net, net_param, train_net_param$"),
        ("net: 'a' test_net: 'b'", r"^test_iter .* more often.*\. Received: test_iter=0 times, test nets=1$"),
        ("train_net: 'a' test_net: 'b'", r"Received: test_iter=0 times, test nets=1$"),
        (
            "train_net: 'a' test_iter: 1",
            r"^test_iter .* each test_net_param and test_net\. Received: test_iter=1 time,",
        ),
        ("train_net: 'a' test_net_param { } test_iter: [1, 2]", r"Received: test_iter=2 times, test nets=1$"),
        ("net: 'a' test_iter: 1 test_interval: 1 test_state { } test_state { }", r"test_state=2 times, test nets=1$"),
        ("net: 'a' test_state { }", r"^test_state must be .* Received: test_state=1 time, test nets=0$"),
        ("net: 'a' test_iter: 1", r"^test_interval must be positive .* Received: test_interval=0$"),
        ("net: 'a' test_iter: 1 test_interval: -1", r"Received: test_interval=-1$"),
        ("net: 'a' weights: ''", r"^weights of a solver must be paths .* Received: weights=''$"),
        ("net: 'a' weights: 'b,'", r"Received: weights='b,'$"),
        ("net: 'a' weights: 'b' weights: ' , c'", r"Received: weights='b', ' , c'$"),
    ],
)
def test_what_caffe_refuses(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        nets_of(text)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("", ()),
        ("weights: 'a.caffemodel'", ("a.caffemodel",)),
        ("weights: 'a,b' weights: 'c'", ("a", "b", "c")),
        ("weights: ['  a , b/c d.caffemodel\t', 'e']", ("a", "b/c d.caffemodel", "e")),
    ],
)
def test_weights(text: str, weights: tuple[str, ...]) -> None:
    assert nets_of(f"net: 'n' {text}").weights == weights


def test_test_nets_are_limited() -> None:
    solver = caffe_pb2.SolverParameter(net="n", test_interval=1, test_iter=[1] * 1024)
    assert len(solver_nets(solver).tests) == 1024
    solver.test_iter.append(1)
    with pytest.raises(LimitExceeded, match=r"test_nets=1024\. Received: 1025$"):
        solver_nets(solver)
    assert len(solver_nets(solver, limits=ReadLimits(test_nets=2000)).tests) == 1025


def test_real_solvers(shared: Path) -> None:
    folder = shared / "corpus"
    with (folder / "MANIFEST.tsv").open() as manifest:
        rows = [row for row in csv.DictReader(manifest, delimiter="\t") if row["kind"] == "solver"]
    accepted = [row for row in rows if row["real_caffe"] == "ok"]
    assert len(accepted) > 15
    for row in accepted:
        solver = read_solver((folder / row["file"]).read_bytes()).solver
        nets = solver_nets(solver)
        assert nets.train.source, row["file"]
        assert len(nets.tests) == len(solver.test_iter), row["file"]
