"""Operations of FlowNet (lmb-freiburg/flownet2)."""

from filler_server.net.operations.base import Operation


class Correlation(Operation):
    """One channel for each displacement: products or differences of the patches of two bottoms.

    Attributes are the fields of CorrelationParameter; correlation_type is multiply or subtract.
    """

    kernel_size: int
    max_displacement: int
    pad: int = 0
    stride_1: int = 1
    stride_2: int = 1
    single_direction: int = 0
    do_abs: bool = False
    correlation_type: str = "multiply"


class FlowWarp(Operation):
    """The image bottom[0] moved along the flow bottom[1]; what comes from outside is zero or not_a_number."""

    fill_value: str = "zero"


class ChannelNorm(Operation):
    """The root of the sum of squares over channels."""
