"""Operations that depend on data, or on what only their fork defines, so that nothing follows from random weights."""

from collections.abc import Mapping

from filler_server.diagnostics.signal.registry import Layer, NotKnown, Passed, rule
from filler_server.net.operations import (
    Operation,
    arrangement,
    convolution,
    detection,
    flow,
    inner_product,
    losses,
    pooling,
    recurrent,
    regions,
    resizing,
)

_REASONS: Mapping[type[Operation], str] = {
    arrangement.SpatialTransformer: "where it samples depends on data",
    convolution.Im2col: "its top has each value several times",
    convolution.Local: "it has other weights at each place",
    detection.DetectionEvaluate: "it counts detections, which depend on data",
    detection.DetectionOutput: "which boxes it finds depends on data",
    detection.MultiBoxLoss: "which boxes it matches depends on data",
    detection.PriorBox: "its boxes are coordinates, which no weights depend on",
    detection.PriorBoxClustered: "its boxes are coordinates, which no weights depend on",
    flow.ChannelNorm: "it is a norm of flows, which depend on data",
    flow.Correlation: "how two images go together depends on data",
    flow.FlowWarp: "where it samples depends on data",
    inner_product.MarginInnerProduct: "its margin depends on the class of each sample",
    losses.BoxAnnotatorOHEM: "which regions it chooses depends on data",
    losses.CenterLoss: "its centers follow data",
    pooling.SPP: "its bins of several sizes go into one top",
    recurrent.Lstm: "how it carries its state from one pass to the next is its fork's own",
    regions.Proposal: "which regions it chooses depends on data",
    regions.PSROIAlign: "its regions depend on data",
    regions.PSROIPooling: "its regions depend on data",
    regions.ROIAlign: "its regions depend on data",
    regions.ROIPooling: "its regions depend on data",
    resizing.Downsample: "how it averages over areas is its fork's own",
    resizing.Resample: "how it interpolates is its fork's own",
}


@rule(*_REASONS)
def undetermined(operation: Operation, layer: Layer) -> Passed:
    """Refuse an operation, and say why."""
    raise NotKnown(_REASONS[type(operation)])
