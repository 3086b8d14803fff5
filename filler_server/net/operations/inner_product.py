"""Inner products and tables."""

from filler_server.net.operations.base import Extent, Operation


class InnerProduct(Operation):
    """y = W x + b, x all values from `axis` on.

    Attributes:
        num_output: number of values of y.
        axis: the first axis of x.
        transpose: whether the weight is [inputs, num_output] rather than [num_output, inputs].
        bias: whether there is a bias.
        weight_bottom: whether bottom[1] is the weight (happynear/caffe-windows).
        bias_bottom: whether bottom[2] is the bias.
    """

    num_output: Extent
    axis: int = 1
    transpose: bool = False
    bias: bool = True
    weight_bottom: bool = False
    bias_bottom: bool = False


class Embed(Operation):
    """Each value of the bottom, a whole number, is replaced by its row of the weight [input_dim, num_output]."""

    num_output: int
    input_dim: int
    bias: bool = True


class MarginInnerProduct(Operation):
    """An inner product of x and unit weights with an angular margin for the class of the label, bottom[1].

    Attributes:
        layer_type: MarginInnerProduct (wy1iu/sphereface) or LargeMarginInnerProduct (wy1iu/LargeMargin_Softmax_Loss).
        margin: single, double, triple or quadruple.
        base, gamma, power, lambda_min, iteration: lambda = max(lambda_min, base * (1 + gamma * iteration) ^ -power).
    """

    layer_type: str
    num_output: int
    axis: int = 1
    margin: str = "single"
    base: float = 1.0
    gamma: float = 0.0
    power: float = 1.0
    lambda_min: float = 0.0
    iteration: int = 0
