"""Limits on the work that a file may ask of the reader."""

from dataclasses import dataclass

from caffe_filler.errors import InvalidArgument, LimitExceeded


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits of the reader, far above any net that is known (1.4 MiB of text, 5,342 layers).

    Attributes:
        text_bytes: length of a text file in bytes.
        binary_bytes: length of a binary file in bytes; protobuf itself reads less than 2 GiB.
        nesting: blocks of text within one another, at most 200. The schema itself nests 10 deep.
        fields: fields, integers in lists and unknown values of one file, but for real numbers that may be repeated and,
            in binary files, the values of blobs.
        layers: `layer` and `layers` of one file, those of nets inside a solver included.
        name_length: characters of the name of a layer, a blob, a shared parameter or a type.
        test_nets: test nets of a solver, which can be made of one net any number of times.
    """

    text_bytes: int = 16 << 20
    binary_bytes: int = (2 << 30) - 1
    nesting: int = 100
    fields: int = 1 << 20
    layers: int = 1 << 16
    name_length: int = 4096
    test_nets: int = 1 << 10

    def __post_init__(self) -> None:
        if not 1 <= self.nesting <= 200:
            raise InvalidArgument(f"nesting must be in [1, 200]. Received: nesting={self.nesting}")

    def check(self, name: str, received: int, *, line: int | None = None) -> None:
        """Compare a value with the limit of that name.

        Raises:
            LimitExceeded: it is over; `line` is where the file went over it.
        """
        limit: int = getattr(self, name)
        if received > limit:
            raise LimitExceeded.over(name, limit, received, line=line)
