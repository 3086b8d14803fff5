import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import PrototxtError
from filler_server.prototxt import SolverDocument, read_solver
from filler_server.prototxt.upgrade.solver_type import TYPES


@pytest.mark.parametrize("name", caffe_pb2.SolverParameter.SolverType.keys())
def test_types(name: str) -> None:
    document = read_solver(f'net: "n"\n  solver_type: {name}'.encode())
    assert document.solver == caffe_pb2.SolverParameter(net="n", type=TYPES[name])
    assert [str(change) for change in document.changes] == [f'2:3: solver_type {name} becomes type "{TYPES[name]}"']


def test_binary() -> None:
    old = caffe_pb2.SolverParameter(net="n", solver_type=caffe_pb2.SolverParameter.ADAM, base_lr=0.01)
    document = read_solver(old.SerializeToString())
    assert document.format == "binary"
    assert document.solver == caffe_pb2.SolverParameter(net="n", type="Adam", base_lr=0.01)
    assert str(document.changes[0]) == 'solver_type ADAM becomes type "Adam"'


def test_a_current_solver_stays() -> None:
    solver = caffe_pb2.SolverParameter(net="n", type="AdaGrad")
    assert read_solver(b'net: "n" type: "AdaGrad"') == SolverDocument(solver, (), "text", ())


def test_both_are_refused() -> None:
    with pytest.raises(PrototxtError, match=r"^2:1: a solver has either .*Received: type='SGD', solver_type=ADAM$"):
        read_solver(b'type: "SGD"\nsolver_type: ADAM')


def test_unknown_types_are_reported() -> None:
    document = read_solver(b"base_lr: 1 solver_type: LION")
    assert not document.solver.HasField("type")
    assert [str(problem) for problem in document.problems] == [
        "1:25: SolverParameter.SolverType has no value LION, passed over"
    ]


def test_a_net_is_no_solver() -> None:
    with pytest.raises(PrototxtError, match=r"^1:1: the file is a net, not a solver\. Received: "):
        read_solver(b'name: "n" layer { name: "x" }')
    with pytest.raises(PrototxtError, match=r"^1:1: the file is not a solver\. Received: "):
        read_solver(b"what: 1")


def test_nets_inside_stay_as_they_are() -> None:
    document = read_solver(b"net_param { layers { type: RELU blobs_lr: 1 } }")
    assert document.solver.net_param.layers[0].blobs_lr == [1]
