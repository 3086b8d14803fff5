"""The enum solver_type of a solver, made the string type."""

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.report import Change, Place
from filler_server.prototxt.upgrade.draft import refusal

TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}
"""Types of solvers by their names in the enum."""


def upgrade_solver_type(solver: caffe_pb2.SolverParameter, place: Place | None) -> Change | None:
    """Replace solver_type, which stands at `place`, by type (`UpgradeSolverType`); return the change, if any.

    Raises:
        PrototxtError: the solver has both.
    """
    if not solver.HasField("solver_type"):
        return None
    old = caffe_pb2.SolverParameter.SolverType.Name(solver.solver_type)
    if solver.HasField("type"):
        what = "a solver has either type or, in its old format, solver_type"
        raise refusal(f"{what}. Received: type={solver.type!r}, solver_type={old}", place)
    solver.type = TYPES[old]
    solver.ClearField("solver_type")
    line, column = place or (None, None)
    return Change(f'solver_type {old} becomes type "{solver.type}"', line=line, column=column)
