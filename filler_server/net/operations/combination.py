"""Operations that combine or choose values."""

from filler_server.net.operations.base import Floats, Operation


class ArgMax(Operation):
    """Indices of the largest values, the largest first; of equal ones the larger index comes first.

    Attributes:
        axis: the axis that is searched; None: all values of each item, whatever axes they have.
        top_k: how many are told.
        values: whether the values themselves are told: with an axis in place of the indices, otherwise beside them.
    """

    axis: int | None = None
    top_k: int = 1
    values: bool = False


class BatchReindex(Operation):
    """The items of bottom[0] (axis 0) that bottom[1] lists."""


class Eltwise(Operation):
    """The bottoms combined value by value.

    Attributes:
        operation: prod, sum or max.
        coefficients: for sum, what each bottom is multiplied with.
        repeat_items: whether a bottom of one item stands for each item of the first (MyCaffe/MyCaffe).
    """

    operation: str = "sum"
    coefficients: Floats = ()
    repeat_items: bool = False


class Filter(Operation):
    """The items (axis 0) of all bottoms but the last for which the last one is not 0."""


class HDF5Output(Operation):
    """bottom[0] as `data` and bottom[1] as `label` in an HDF5 file."""

    file_name: str = ""


class Reduction(Operation):
    """One number out of the axis and all axes after it, times a coefficient.

    Attributes:
        operation: sum, asum (of absolute values), sumsq (of squares) or mean.
    """

    operation: str = "sum"
    axis: int = 0
    coefficient: float = 1.0


class Silence(Operation):
    """Nothing: it reads what no other layer does."""
