"""Tensors of files against a manifest."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from filler_server.digests import Digest, Entry, digest_tensor
from filler_server.tensors import Advance, Tensor

Finding: TypeAlias = Literal["equal", "differs", "shape", "dtype", "missing", "surplus", "damaged"]


@dataclass(frozen=True, slots=True)
class Verified:
    """Finding about a tensor.

    Attributes:
        name: its name; of a file that is missing or damaged empty.
        finding: equal, differs (in its values), another shape or dtype, missing in the file or surplus there; or
            damaged, where a file cannot be read.
        expected: the entry of the manifest; None of a surplus tensor.
        digest: of the values that are there; None where they were not read.
        detail: what else there is to say.
        file: the file that it lies in, or should.
    """

    name: str
    finding: Finding
    expected: Entry | None = None
    digest: Digest | None = None
    detail: str = ""
    file: str = ""

    @property
    def is_equal(self) -> bool:
        """Whether it is as the manifest has it."""
        return self.finding == "equal"


def verified(
    tensors: Iterable[Tensor], entries: Mapping[str, Entry], *, file: str = "", advance: Advance | None = None
) -> Iterator[Verified]:
    """Yield what is found of each tensor: those of the file in its order, then those that it lacks.

    Args:
        tensors: those of the file.
        entries: those of the manifest.
        file: name of the file.
        advance: is told the bytes that are done, and the name of the tensor.

    Raises:
        WeightsError: the file is damaged.
        OSError: it cannot be read.
    """
    missing = dict(entries)
    for tensor in tensors:
        entry = missing.pop(tensor.name, None)
        if entry is None:
            yield Verified(tensor.name, "surplus", file=file)
        elif tensor.shape != entry.shape:
            detail = f"{list(tensor.shape)} in place of {list(entry.shape)}"
            yield Verified(tensor.name, "shape", entry, detail=detail, file=file)
        elif tensor.dtype.name != entry.dtype:
            detail = f"{tensor.dtype.name} in place of {entry.dtype}"
            yield Verified(tensor.name, "dtype", entry, detail=detail, file=file)
        else:
            found = digest_tensor(tensor, advance=advance)
            detail = "" if found == entry.digest else f"digest {found} in place of {entry.digest}"
            yield Verified(tensor.name, "differs" if detail else "equal", entry, found, detail, file)
    for name, entry in missing.items():
        yield Verified(name, "missing", entry, file=file)
