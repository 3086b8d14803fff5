"""Operations that are written, and those that are refused whatever they are."""

from filler_server.models.torch import functions
from filler_server.models.torch.registry import EMITTERS
from filler_server.net.operations import Operation

REFUSED = {
    # Sources of data are inputs.
    *("Data", "DummyData", "ForkData", "HDF5Data", "ImageData", "Input", "MemoryData", "Transform", "WindowData"),
    "ContinuationIndicator",
    # Nobody knows what they compute.
    *("Custom", "Python", "Unknown"),
    # Forks.
    *("BoxAnnotatorOHEM", "CenterLoss", "Correlation", "DetectionEvaluate", "Downsample"),
    *("FlowWarp", "Insanity", "Local", "Lstm", "MarginInnerProduct", "Noise", "PSROIAlign"),
    *("ROIAlign", "Resample", "SpatialTransformer"),
}
"""Classes of operations without a function."""


def test_every_operation_is_written_or_known_not_to_be() -> None:
    written = {kind.__name__ for kind in EMITTERS}
    assert written | REFUSED == set(Operation.kinds)
    assert not written & REFUSED


def test_functions_stand_in_the_family_of_their_operation() -> None:
    for kind, function in EMITTERS.items():
        assert function.__module__.rpartition(".")[2] == kind.__module__.rpartition(".")[2]
        assert function.__module__.rpartition(".")[2] in functions.__all__
