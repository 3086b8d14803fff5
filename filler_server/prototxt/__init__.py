"""Text or binary to NetParameter: reading with a report."""

from filler_server.prototxt.document import NetDocument
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import read_net, read_text
from filler_server.prototxt.report import Problem

__all__ = ["NetDocument", "Problem", "ReadLimits", "read_net", "read_text"]
