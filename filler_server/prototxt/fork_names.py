"""Names of fields and enum values that forks of Caffe added to messages of BVLC.

(Compared: 2,285 versions of caffe.proto from 130 repositories, and the parameters of MyCaffe.)
"""

from collections.abc import Mapping

from filler_server.prototxt.forks import BLOCKS


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


KNOWN: Mapping[str, frozenset[str]] = {
    "BatchNormParameter": _names("bias_filler scale_bias scale_filler"),
    "ConcatParameter": _names("per_fla_fuse"),
    "ConvolutionParameter": _names(
        "filter_group hole hole_h hole_w kernel_depth kernel_shape pad_shape stride_shape temporal_pad temporal_stride"
    ),
    "DropoutParameter": _names("sample_weights_test scale_train"),
    "EltwiseParameter": _names("allow_single_batch_input"),
    "ImageDataParameter": _names("channels new_length"),
    "InnerProductParameter": _names("enable_noise min_top_axes sigma_init"),
    "LayerParameter": frozenset(BLOCKS),
    "ParameterParameter": _names("filler"),
    "PoolingParameter": _names(
        "ceil_mode kernel_depth kernel_shape kernel_size_3d pad_3d pad_shape stride_3d stride_shape temporal_stride"
    ),
    "TransformationParameter": _names("crop_h crop_height crop_w crop_width resize_param"),
}
"""Fields on which shapes or learnable blobs depend, by their message or enum: these can be misspelled, too."""

CONTESTED = frozenset(range(30, 40))
"""Numbers of V1 types of layers under which forks have others; 34 is MVN to BVLC, and SELU or INPUT elsewhere."""

REPEATED: Mapping[str, frozenset[str]] = {
    "DataParameter": _names("backend source"),
    "PoolingParameter": _names("kernel_size pad stride"),
    "SolverParameter": _names("device_id"),
}
"""Fields of BVLC that hold one value, and in forks several."""

NEAR: Mapping[str, frozenset[str]] = {
    "AccuracyParameter": _names("ignore_labels"),
    "ConvolutionParameter": _names("kstride kstride_h kstride_w"),
    "EltwiseParameter.EltwiseOp": _names("SUB"),
    "LayerParameter": _names(
        "cconvolution_param cinner_product_param convolution_3d_param convolution_ex_param priorbox_params "
        "rand_vec_param transformer_param"
    ),
    "PoolingParameter": _names("kstride kstride_h kstride_w"),
    "SolverParameter": _names("device larc_policy"),
    "SolverParameter.SolverType": _names("ADAMW"),
}
"""Other fields that are so near a known name that they would pass for misspelled."""
