"""Operations over regions of interest, rows (image, x1, y1, x2, y2) of bottom[1] in pixels."""

from filler_server.net.operations.base import Floats, Operation


class Proposal(Operation):
    """The best regions among anchors: [N * post_nms_topn, 5], and their scores (happynear/caffe-windows).

    Attributes are the fields of ProposalParameter.
    """

    feat_stride: int = 16
    base_size: int = 16
    min_size: int = 16
    ratios: Floats = ()
    scales: Floats = ()
    pre_nms_topn: int = 6000
    post_nms_topn: int = 300
    nms_thresh: float
    score_thresh: float | None = None


class PSROIAlign(Operation):
    """Averages of bilinear samples in position-sensitive bins (afantideng/R-FCN-PSROIAlign)."""

    output_dim: int
    group_size: int
    spatial_scale: float
    sample_num: int | None = None


class PSROIPooling(Operation):
    """Averages in position-sensitive bins: bin (i, j) of output c is taken from channel (c * group + i) * group + j.

    Source: daijifeng001/caffe-rfcn.
    """

    output_dim: int
    group_size: int
    spatial_scale: float


class ROIAlign(Operation):
    """Bilinear samples in a grid of bins; sampling_ratio None leaves their number to the fork."""

    pooled: tuple[int, ...]
    spatial_scale: float = 1.0
    sampling_ratio: int | None = None


class ROIPooling(Operation):
    """The largest value in each bin of a grid over the region, 0 for an empty one (rbgirshick/caffe-fast-rcnn)."""

    pooled: tuple[int, ...] | None
    spatial_scale: float = 1.0
