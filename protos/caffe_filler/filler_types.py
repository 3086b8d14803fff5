"""Names of fillers, for where no filler is made of them."""

CAFFE_FILLERS = ("constant", "gaussian", "uniform", "positive_unitball", "xavier", "msra", "bilinear")
"""Those that Caffe itself has."""

OWN_FILLERS = (
    "truncated_gaussian",
    "variance_scaling_uniform",
    "variance_scaling_gaussian",
    "variance_scaling_truncated",
    "orthogonal",
    "identity",
    "dirac",
)
"""Those that it does not have."""

WITHOUT_DRAWS = frozenset({"constant", "bilinear", "identity", "dirac"})
"""Those whose values are not random, so that no name selects their numbers."""

WITH_DEFAULTS_OF_THEIR_OWN = ("value", "min", "max")
"""Fields of FillerParameter that have other defaults in fillers that are not Caffe's; there it counts whether they are
given."""
