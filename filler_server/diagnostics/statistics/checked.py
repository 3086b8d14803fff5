"""Result of a check, to read and to print."""

from dataclasses import dataclass
from typing import Any

from caffe_filler.printable import counted, printable
from filler_server.diagnostics.statistics.result import Result
from filler_server.diagnostics.statistics.table import checked_dict, html_table, text_table


@dataclass(frozen=True, slots=True, repr=False)
class Checked(Result):
    """A net or a file of weights that has been held against its fillers; a table in print and in a notebook.

    Attributes:
        source: what was checked, in words.
        significance: probability of a false alarm, for all blobs together.
        expected: initial: all blobs are to be as their fillers promise; trained: none is to be broken, and those that
            are learned are to have moved.
        blobs: in the order of the net, or of the file where no net tells.
        unused: tensors of the files that no layer of the net takes, as name and shape.
        notes: what else is to be said.
        warnings: what is to be told of the net.
    """

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values, which JSON can hold: what `filler check --json` prints."""
        return checked_dict(self)

    def __repr__(self) -> str:
        verdict = "passed" if self.passed else f"failed by {counted(len(self.failing), 'blob')}"
        return printable(f"Checked({self.source!r}, {counted(len(self.blobs), 'blob')}, {verdict})")

    def __str__(self) -> str:
        return text_table(self)

    def _repr_html_(self) -> str:
        return html_table(self)
