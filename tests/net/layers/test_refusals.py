# ruff: noqa: E501 - a case of the table is a line
"""Layers that Caffe refuses to set up: (fields, bottoms, words of the message)."""

from collections.abc import Callable

import pytest

from caffe_filler.errors import NetError
from filler_server.net.plan import Layer

IMAGE = (2, 6, 8, 10)
SEQUENCE = (4, 2, 3)

CASES = [
    # Numbers of bottoms and tops
    ('type: "Eltwise"', [IMAGE], "Eltwise Layer takes at least 2 bottom blob(s) as input"),
    ('type: "LSTM" recurrent_param { num_output: 5 expose_hidden: true }', [SEQUENCE, (4, 2)], "LSTM Layer takes at least 4 bottom blob(s)"),
    ('type: "ReLU" propagate_down: true propagate_down: true', [IMAGE], "propagate_down param must be specified either 0 or bottom_size times"),
    ('type: "ReLU" loss_weight: 1 loss_weight: 1', [IMAGE], "loss_weight must be unspecified or specified once per top blob"),
    ('type: "ReLU" param { lr_mult: 1 }', [IMAGE], "Too many params specified for layer it"),
    # Convolution
    ('type: "Convolution" convolution_param { num_output: 4 }', [IMAGE], "kernel_size must be specified once, or once per spatial dimension"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 0 }', [IMAGE], "Filter dimensions must be nonzero"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_h: 3 }', [IMAGE], "Filter dimensions must be nonzero"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 1 kernel_size: 2 kernel_size: 3 }', [IMAGE], "(kernel_size specified 3 times; 2 spatial dims)"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_h: 3 kernel_w: 3 }', [(1, 1, 4, 4, 4)], "kernel_h & kernel_w can only be used for 2D convolution"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_h: 3 kernel_w: 3 kernel_size: 3 }', [IMAGE], "Either kernel_size or kernel_h/w should be specified; not both"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 stride: 0 }', [IMAGE], "Stride dimensions must be nonzero"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 stride_h: 2 }', [IMAGE], "Stride dimensions must be nonzero"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 pad: 1 pad_h: 2 }', [IMAGE], "Either pad or pad_h/w should be specified; not both"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 dilation: 1 dilation: 1 dilation: 1 }', [IMAGE], "dilation must be specified once"),
    ('type: "Convolution" convolution_param { kernel_size: 3 }', [IMAGE], "num_output must be positive"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 group: 4 }', [IMAGE], "Number of channels should be multiples of group"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 group: 3 }', [IMAGE], "Number of output should be multiples of group"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 group: 0 }', [IMAGE], "group must be positive"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 11 }', [IMAGE], "the kernel does not fit into the padded input"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 9 }', [IMAGE], "the output has no values"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 1 axis: 4 }', [IMAGE], "axis 4 out of range for 4-D Blob"),
    ('type: "Convolution" top: "a" top: "b" convolution_param { num_output: 4 kernel_size: 1 }', [IMAGE, (2, 6, 8, 9)], "shape mismatch - bottom[0]: [2, 6, 8, 10] vs. bottom[1]: [2, 6, 8, 9]"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 pad: 1 }', [(1, 512, 1000, 1000)], "column buffer exceeds INT_MAX"),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 1 bias_term: false } blobs { shape { dim: 4 dim: 6 } ' + "data: 1 " * 24 + "}", [IMAGE], "Incorrect weight shape: expected shape [4, 6, 1, 1]"),
    ('type: "Convolution" convolution_param { num_output: 1 kernel_size: 1 } blobs { shape { dim: 1 } data: 1 }', [(1, 1, 1, 1)], "Incorrect number of weight blobs"),
    ('type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 1 pad: 9 }', [IMAGE], "a dimension is negative"),
    ('type: "Im2col" convolution_param { kernel_size: 1 }', [(2, 3)], "Im2col needs a spatial axis"),
    # Pooling
    ('type: "Pooling"', [IMAGE], "Filter size is missing"),
    ('type: "Pooling" pooling_param { kernel_h: 2 }', [IMAGE], "both kernel_h and kernel_w are required"),
    ('type: "Pooling" pooling_param { kernel_size: 2 kernel_h: 2 kernel_w: 2 }', [IMAGE], "Filter size is kernel_size OR kernel_h and kernel_w; not both"),
    ('type: "Pooling" pooling_param { kernel_size: 0 }', [IMAGE], "Filter dimensions cannot be zero"),
    ('type: "Pooling" pooling_param { kernel_size: 2 stride: 0 }', [IMAGE], "Stride dimensions cannot be zero"),
    ('type: "Pooling" pooling_param { kernel_size: 2 stride_w: 1 }', [IMAGE], "stride is stride OR stride_h and stride_w are required"),
    ('type: "Pooling" pooling_param { kernel_size: 2 pad: 1 pad_h: 1 pad_w: 1 }', [IMAGE], "pad is pad OR pad_h and pad_w are required"),
    ('type: "Pooling" pooling_param { kernel_size: 2 pad: 2 }', [IMAGE], "pad must be smaller than the kernel"),
    ('type: "Pooling" pooling_param { kernel_size: 2 pad: 1 pool: STOCHASTIC }', [IMAGE], "Padding implemented only for average and max pooling"),
    ('type: "Pooling" pooling_param { kernel_size: 2 global_pooling: true }', [IMAGE], "With global_pooling: true the filter size cannot be specified"),
    ('type: "Pooling" pooling_param { stride: 2 global_pooling: true }', [IMAGE], "only pad = 0 and stride = 1"),
    ('type: "Pooling" pooling_param { kernel_size: 2 }', [(2, 3)], "Input must have 4 axes"),
    ('type: "Pooling" pooling_param { kernel_size: 20 }', [IMAGE], "the kernel does not fit into the padded input"),
    ('type: "SPP"', [IMAGE], "pyramid_height must be positive"),
    ('type: "SPP" spp_param { pyramid_height: 3 }', [(1, 1, 5, 5)], "pad must be smaller than the kernel"),
    ('type: "SPP" spp_param { pyramid_height: 4000000000 }', [IMAGE], "pad must be smaller than the kernel"),
    # InnerProduct, Embed, recurrent
    ('type: "InnerProduct"', [IMAGE], "num_output must be positive"),
    ('type: "InnerProduct" inner_product_param { num_output: 4 axis: 4 }', [IMAGE], "axis 4 out of range for 4-D Blob"),
    ('type: "InnerProduct" inner_product_param { num_output: 4 axis: 2000000000 }', [None], "at most 32 axes"),
    ('type: "InnerProduct" inner_product_param { num_output: 4 }', [(2, 0)], "blob 'it/0': a blob without values cannot be filled"),
    ('type: "InnerProduct" inner_product_param { num_output: 4 }', [(0, 2)], "the batch has no values"),
    ('type: "InnerProduct" inner_product_param { num_output: 65536 }', [(1, 32768)], "blob 'it/0': blob size exceeds INT_MAX"),
    ('type: "Embed" embed_param { input_dim: 4 }', [(3,)], "EmbedLayer num_output must be positive"),
    ('type: "Embed" embed_param { num_output: 4 }', [(3,)], "EmbedLayer input_dim must be positive"),
    ('type: "LSTM"', [SEQUENCE, (4, 2)], "num_output must be positive"),
    ('type: "LSTM" recurrent_param { num_output: 5 }', [(4,), (4, 2)], "bottom[0] must have at least 2 axes"),
    ('type: "LSTM" recurrent_param { num_output: 5 }', [(4, 2), (4, 2)], "axis 2 out of range for 2-D Blob"),
    ('type: "LSTM" recurrent_param { num_output: 5 }', [SEQUENCE, (4, 2, 1)], "bottom[1] must have exactly 2 axes"),
    ('type: "RNN" recurrent_param { num_output: 5 }', [SEQUENCE, (4, 3)], "bottom[0] and bottom[1] differ in timesteps or streams"),
    ('type: "RNN" recurrent_param { num_output: 5 }', [SEQUENCE, (4, 2), (3, 7)], "bottom[2] has another number of streams"),
    ('type: "RNN" recurrent_param { num_output: 5 }', [SEQUENCE, (4, 2), (2,)], "axis 1 out of range for 1-D Blob"),
    ('type: "RNN" recurrent_param { num_output: 5 }', [(0, 2, 3), (0, 2)], "the input has no values"),
    ('type: "RNN" top: "a" top: "b" recurrent_param { num_output: 5 expose_hidden: true }', [SEQUENCE, (4, 2), (1, 2, 6)], "shape mismatch - recur_input_blobs_[0]: [1, 2, 5] vs. bottom[2]"),
    ('type: "LSTMUnit" top: "a" top: "b"', [(1, 2, 5), (1, 2, 19), (1, 2)], "4 times as wide"),
    # Normalization, Scale, Bias
    ('type: "BatchNorm"', [(4,)], "axis 1 out of range for 1-D Blob"),
    ('type: "BatchNorm" param { lr_mult: 1 }', [IMAGE], "Cannot configure batch normalization statistics as layer parameters"),
    ('type: "LRN" lrn_param { local_size: 4 }', [IMAGE], "LRN only supports odd values for local_size"),
    ('type: "LRN"', [(2, 3)], "Input must have 4 axes"),
    ('type: "Scale" scale_param { num_axes: -2 }', [IMAGE], "num_axes must be non-negative, or -1"),
    ('type: "Scale" scale_param { axis: 2 num_axes: 3 }', [IMAGE], "scale blob's shape extends past bottom[0]'s shape"),
    ('type: "Scale"', [IMAGE, (7,)], "dimension mismatch between bottom[0]->shape(1) and scale->shape(0)"),
    ('type: "Bias"', [IMAGE, (6, 8, 10, 1)], "bias blob's shape extends past bottom[0]'s shape"),
    ('type: "Bias"', [IMAGE, (6, 9)], "dimension mismatch between bottom[0]->shape(2) and bias->shape(1)"),
    # Value by value
    ('type: "PReLU"', [(4,)], "Number of axes of bottom blob must be >=2"),
    ('type: "PReLU" blobs { shape { dim: 2 } data: 1 data: 2 }', [IMAGE], "Negative slope size is inconsistent with prototxt config"),
    ('type: "Exp" exp_param { base: 0 }', [IMAGE], "base must be strictly positive"),
    ('type: "Log" log_param { base: inf }', [IMAGE], "log(base) must be finite"),
    ('type: "Log" log_param { base: 1 }', [IMAGE], "Inf result: 1/log(base)"),
    ('type: "Softmax" softmax_param { axis: 4 }', [IMAGE], "axis 4 out of range for 4-D Blob"),
    # Arrangement
    ('type: "Flatten" flatten_param { axis: 3 end_axis: 1 }', [IMAGE], "axis must not come after end_axis"),
    ('type: "Concat" concat_param { axis: 1 concat_dim: 1 }', [IMAGE], "Either axis or concat_dim should be specified; not both"),
    ('type: "Concat" concat_param { concat_dim: 4 }', [IMAGE], "concat_dim out of range"),
    ('type: "Concat"', [IMAGE, (2, 6)], "All inputs must have the same #axes"),
    ('type: "Concat"', [IMAGE, (2, 6, 8, 11)], "All inputs must have the same shape, except at concat_axis"),
    ('type: "Slice" slice_param { axis: 1 slice_dim: 1 }', [IMAGE], "Either axis or slice_dim should be specified; not both"),
    ('type: "Slice" slice_param { slice_point: 1 }', [IMAGE], "one slice_point fewer than tops"),
    ('type: "Slice" top: "a" top: "b" top: "c" slice_param { slice_point: 3 slice_point: 3 }', [IMAGE], "slice_point must increase"),
    ('type: "Slice" top: "a" top: "b" slice_param { slice_point: 7 }', [IMAGE], "too short for its slice_points"),
    ('type: "Slice" top: "a" top: "b" top: "c" top: "d"', [IMAGE], "Number of top blobs (4) should evenly divide input slice axis (6)"),
    ('type: "Crop" crop_param { offset: 1 offset: 1 offset: 1 }', [IMAGE, IMAGE], "number of offset values specified must be equal"),
    ('type: "Crop" crop_param { offset: 4 }', [IMAGE, (1, 1, 5, 5)], "the crop for dimension 2 is out-of-bounds with size 5 and offset 4"),
    ('type: "Crop"', [IMAGE, (1, 1, 5)], "the reference has fewer axes"),
    ('type: "Tile"', [IMAGE], "Number of tiles must be specified"),
    ('type: "Tile" tile_param { tiles: -1 }', [IMAGE], "Number of tiles must be positive"),
    ('type: "Tile" tile_param { tiles: 2000000000 }', [IMAGE], "top 'top': a dimension exceeds INT_MAX"),
    ('type: "Reshape" reshape_param { shape { dim: -1 dim: -1 } }', [IMAGE], "multiple -1 dims"),
    ('type: "Reshape" reshape_param { shape { dim: 7 dim: -1 } }', [IMAGE], "bottom count (960) must be divisible by the product of the specified dimensions (7)"),
    ('type: "Reshape" reshape_param { shape { dim: 7 } }', [IMAGE], "output count must match input count"),
    ('type: "Reshape" reshape_param { shape { dim: 1 } axis: 5 }', [IMAGE], "axis 5 out of range for 4-D input blob"),
    ('type: "Reshape" reshape_param { shape { dim: 1 } num_axes: 5 }', [IMAGE], "end_axis = axis + num_axes is out of range"),
    ('type: "Reshape" reshape_param { shape { dim: 1 } num_axes: -2 }', [IMAGE], "num_axes must be >= 0, or -1 for all"),
    ('type: "Reshape" reshape_param { shape { dim: 1 dim: 0 } axis: -1 num_axes: 0 }', [IMAGE], "no corresponding bottom axis to copy"),
    ('type: "Reshape" reshape_param { shape { dim: -2 dim: -1 } }', [IMAGE], "a dimension is negative"),
    # Combination
    ('type: "Eltwise"', [IMAGE, (2, 6, 8, 9)], "bottom[0]: [2, 6, 8, 10], bottom[1]: [2, 6, 8, 9] must have the same shape"),
    ('type: "Eltwise" eltwise_param { coeff: 1 }', [IMAGE, IMAGE], "Eltwise Layer takes one coefficient per bottom blob"),
    ('type: "Eltwise" eltwise_param { operation: PROD coeff: 1 coeff: 1 }', [IMAGE, IMAGE], "only takes coefficients for summation"),
    ('type: "Reduction" reduction_param { axis: 4 }', [IMAGE], "axis 4 out of range for 4-D Blob"),
    ('type: "ArgMax" argmax_param { top_k: 0 }', [IMAGE], "top k must not be less than 1"),
    ('type: "ArgMax" argmax_param { axis: 1 top_k: 7 }', [IMAGE], "top_k must be less than or equal"),
    ('type: "BatchReindex"', [IMAGE, (5, 1)], "bottom[1] must have 1 axis"),
    ('type: "Filter" top: "a" top: "b"', [IMAGE, (2,)], "one top for each bottom but the selector"),
    ('type: "Filter"', [IMAGE, (2, 2)], "Selector blob dimensions must be singletons (1), except the first"),
    ('type: "Filter"', [IMAGE, (3,)], "Each bottom should have the same 0th dimension as the selector blob"),
    # Values in the prototxt
    ('type: "InnerProduct" inner_product_param { num_output: 7 } blobs { shape { dim: 2 dim: 3 } data: [1, 2, 3, 4, 5, 6] } blobs { shape { dim: 1 } data: 0 }', [(1, 3)], "blob 0 has the shape [7, 3]"),
    ('type: "InnerProduct" inner_product_param { num_output: 2 } blobs { shape { dim: 2 dim: 3 } data: [1, 2, 3, 4, 5, 6] }', [(1, 3)], "the layer has 2 blobs, and the prototxt the values of fewer"),
    ('type: "Embed" embed_param { input_dim: 2 num_output: 3 } blobs { shape { dim: 2 dim: 3 } data: [1, 2, 3, 4, 5, 6] }', [(4,)], "the layer has 2 blobs, and the prototxt the values of fewer"),
    ('type: "BatchNorm" blobs { shape { dim: 6 } data: [1, 2, 3, 4, 5, 6] }', [IMAGE], "the layer has 3 blobs, and the prototxt the values of fewer"),
    # Losses
    ('type: "HingeLoss"', [(2, 6), (3,)], "The data and label should have the same first dimension"),
    ('type: "SoftmaxWithLoss"', [IMAGE, (2,)], "Number of labels must match number of predictions"),
    ('type: "SoftmaxWithLoss" top: "l" top: "p"', [(2, 6), (2,)], "loss_weight must be unspecified or specified once per top blob"),
    ('type: "SoftmaxWithLoss" top: "l" top: "p" loss_weight: 1 loss_weight: 0', [(2, 6), (2,)], "once per top blob of the Softmax inside"),
    ('type: "EuclideanLoss"', [(2, 6), (2, 5)], "Inputs must have the same dimension"),
    ('type: "SigmoidCrossEntropyLoss"', [(2, 6), (2, 5)], "layer inputs must have the same count"),
    ('type: "MultinomialLogisticLoss"', [(2, 6), (2, 2)], "bottom[1] must have channels 1"),
    ('type: "ContrastiveLoss"', [(2, 6), (2, 5), (2,)], "must have the same channels"),
    ('type: "ContrastiveLoss"', [(2, 6, 2), (2, 6), (2,)], "bottom[0] must have height 1"),
    ('type: "InfogainLoss"', [(2, 6), (2,)], "Infogain matrix source must be specified"),
    ('type: "InfogainLoss"', [(2, 6), (2,), (6, 5)], "the infogain matrix must be classes x classes"),
    ('type: "InfogainLoss" loss_param { normalize: true }', [(2, 6), (2,), (6, 6)], "normalize is deprecated"),
    ('type: "Accuracy"', [(2, 6), (4,)], "Number of labels must match number of predictions"),
    ('type: "Accuracy" accuracy_param { top_k: 7 }', [(2, 6), (2,)], "top_k must be less than or equal to the number of classes"),
    # Data
    ('type: "Input" input_param { shape { dim: 1 } shape { dim: 1 } }', [], "Must specify 'shape' once, once per top blob, or not at all"),
    ('type: "Input" input_param { shape { dim: -1 } }', [], "top 'top': a dimension is negative"),
    ('type: "Input" input_param { shape { ' + "dim: 1 " * 33 + "} }", [], "at most 32 axes"),
    ('type: "Input" input_param { shape { dim: 65536 dim: 65536 } }', [], "blob size exceeds INT_MAX"),
    ('type: "DummyData"', [], "Must specify 'shape' once, or once per top blob (1)"),
    ('type: "DummyData" dummy_data_param { num: 1 shape { dim: 1 } }', [], "Both shape and legacy fields were specified"),
    ('type: "DummyData" dummy_data_param { num: 1 channels: 1 height: 1 }', [], "Must specify 'width' once"),
    ('type: "DummyData" dummy_data_param { shape { dim: 0 } }', [], "a constant filler cannot fill a blob without values"),
    ('type: "DummyData" dummy_data_param { shape { dim: 1 } data_filler { } data_filler { } }', [], "Number of data fillers must be 0, 1 or equal to the number of tops"),
    ('type: "Data"', [], "Positive batch size required"),
    ('type: "Data" data_param { batch_size: 1 } transform_param { mean_file: "m" mean_value: 1 }', [], "Cannot specify mean_file and mean_value at the same time"),
    ('type: "ImageData" top: "a" top: "b" image_data_param { new_height: 5 }', [], "requires new_height and new_width to be set at the same time"),
    ('type: "ImageData" top: "a" top: "b" image_data_param { new_height: 5 new_width: 9 } transform_param { crop_size: 6 }', [], "at least as large as crop_size"),
    ('type: "WindowData" top: "a" top: "b" window_data_param { batch_size: 1 }', [], "crop_size must be positive"),
    ('type: "MemoryData" top: "a" top: "b" memory_data_param { batch_size: 1 }', [], "batch_size, channels, height, and width must be specified and positive"),
    ('type: "HDF5Data" transform_param { scale: 1 }', [], "does not transform data"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "bottoms", "words"), CASES)
def test_refused_with_layer_cause_and_values(
    set_up: Callable[..., Layer], fields: str, bottoms: list[object], words: str
) -> None:
    with pytest.raises(NetError) as caught:
        set_up(fields, *bottoms)
    assert words in caught.value.message
    assert "layer 'it': " in caught.value.message
    assert ". Received: " in caught.value.message
    assert caught.value.layer == "it"
    assert caught.value.line == len(bottoms) + 1
