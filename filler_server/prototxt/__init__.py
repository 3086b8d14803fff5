"""Text or binary to messages: reading with a report, and files of all ages brought to the current format."""

from filler_server.prototxt.document import NetDocument, SolverDocument
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import read_net, read_solver, read_text
from filler_server.prototxt.report import Change, Problem
from filler_server.prototxt.rewrite import FileKind, Upgraded, upgrade_text
from filler_server.prototxt.solver import NetChoice, SolverNets, solver_nets

__all__ = [
    "Change",
    "FileKind",
    "NetChoice",
    "NetDocument",
    "Problem",
    "ReadLimits",
    "SolverDocument",
    "SolverNets",
    "Upgraded",
    "read_net",
    "read_solver",
    "read_text",
    "solver_nets",
    "upgrade_text",
]
