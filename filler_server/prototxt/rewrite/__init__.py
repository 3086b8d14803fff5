"""Files of all ages written anew in the current format, with everything else in them left as it stands.

A text is not printed from its message: each change is an edit of the source, so comments, layout and fields of forks
around it stay byte for byte what they are.
"""

from filler_server.prototxt.kind import FileKind
from filler_server.prototxt.rewrite.file import Upgraded, file_kind, upgrade_text

__all__ = ["FileKind", "Upgraded", "file_kind", "upgrade_text"]
