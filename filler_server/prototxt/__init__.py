"""Text or binary to messages: reading with a report, and files of all ages brought to the current format."""

from filler_server.prototxt.document import NetDocument, SolverDocument
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import read_net, read_solver, read_text
from filler_server.prototxt.report import Change, Problem

__all__ = ["Change", "NetDocument", "Problem", "ReadLimits", "SolverDocument", "read_net", "read_solver", "read_text"]
