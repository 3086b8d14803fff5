"""Operations of SSD and of YOLO in Caffe. Boxes are (xmin, ymin, xmax, ymax) in units of the image."""

from filler_server.net.operations.base import Extents, Floats, Operation


class _Priors(Operation):
    variances: Floats
    clip: bool = False
    offset: float = 0.5
    image: Extents
    step: tuple[float | None, float | None]


class PriorBox(_Priors):
    """Boxes of several sizes and ratios around each place of bottom[0] (weiliu89/caffe, branch ssd).

    The top is [1, 2, H * W * boxes * 4]: the boxes, and the variances of each. At each place, and for each minimal
    size, the boxes are: a square of that size, one of sqrt(minimal * maximal size), and one for each ratio but 1.

    Attributes:
        min_sizes: sides in pixels, whole numbers.
        max_sizes: none, or one for each of them.
        ratios: width / height: 1 first, then those given without repetition, each followed by its inverse if flipped.
        variances: four of them.
        clip: whether boxes are cut to the image.
        offset: the center of a place, in units of the step.
        image: height and width of the image: as given, else those of bottom[1].
        step: distance between places in pixels, down and across: as given, else image / extents of bottom[0].
        reduce_boxes: a field of chuanqi305/ssd.
    """

    min_sizes: tuple[int, ...]
    max_sizes: tuple[int, ...] = ()
    ratios: Floats
    reduce_boxes: bool = False


class PriorBoxClustered(_Priors):
    """Boxes of given widths and heights around each place (openvinotoolkit/training_toolbox_caffe).

    Attributes:
        widths: in pixels.
        heights: in pixels, as many.
    """

    widths: Floats
    heights: Floats


class DetectionOutput(Operation):
    """The boxes that are found: [1, 1, found, 7], rows (image, class, score, box) (weiliu89/caffe, branch ssd).

    Bottoms are predicted offsets, confidences and priors.

    Attributes:
        num_classes: number of classes, the background among them.
        share_location: whether all classes share one offset.
        background_label_id: the class that is not a detection, -1 for none.
        code_type: how offsets are encoded: corner, center_size or corner_size.
        variance_encoded_in_target: whether offsets hold the variances already.
        keep_top_k: how many boxes of an image are kept over all classes, -1 for all.
        confidence_threshold: what a score must exceed; None: nothing.
        nms_threshold: overlap up to which two boxes of a class are kept.
        top_k: how many boxes of a class go into that comparison, -1 for all.
        eta: what the threshold is multiplied with after each box, while it is above 0.5.
        objectness_score: what the fourth and fifth bottom of RefineDet are held against; None without these.
    """

    num_classes: int
    share_location: bool = True
    background_label_id: int = 0
    code_type: str = "corner"
    variance_encoded_in_target: bool = False
    keep_top_k: int = -1
    confidence_threshold: float | None = None
    nms_threshold: float
    top_k: int = -1
    eta: float = 1.0
    objectness_score: float | None = None


class DetectionEvaluate(Operation):
    """Counts of true and false detections against ground truth (weiliu89/caffe, branch ssd)."""

    num_classes: int
    background_label_id: int = 0
    overlap_threshold: float = 0.5
    evaluate_difficult_gt: bool = True
    name_size_file: str = ""


class MultiBoxLoss(Operation):
    """The loss of SSD: of offsets, and of confidences over boxes and hard negatives (weiliu89/caffe, branch ssd).

    Attributes are the fields of MultiBoxLossParameter, and how the loss is normalized.
    """

    num_classes: int
    share_location: bool = True
    loc_loss_type: str = "smooth_l1"
    conf_loss_type: str = "softmax"
    loc_weight: float = 1.0
    match_type: str = "per_prediction"
    overlap_threshold: float = 0.5
    use_prior_for_matching: bool = True
    background_label_id: int = 0
    use_difficult_gt: bool = True
    neg_pos_ratio: float = 3.0
    neg_overlap: float = 0.5
    code_type: str = "corner"
    encode_variance_in_target: bool = False
    map_object_to_agnostic: bool = False
    ignore_cross_boundary_bbox: bool = False
    bp_inside: bool = False
    mining_type: str = "max_negative"
    nms_threshold: float | None = None
    top_k: int = -1
    eta: float = 1.0
    sample_size: int = 64
    use_prior_for_nms: bool = False
    normalization: str = "valid"


class Reorg(Operation):
    """Every stride x stride places become channels, in darknet's order, or the reverse (eric612/MobileNet-YOLO)."""

    stride: int
    reverse: bool = False
