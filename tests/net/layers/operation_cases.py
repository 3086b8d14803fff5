# ruff: noqa: E501 - a case of the table is a line
"""Operations of layers: (fields, bottoms, operation)."""

from math import e

from filler_server.net.operations import Custom, Operation, Python, flow, losses, recurrent, regions, resizing
from filler_server.net.operations import activations as activation
from filler_server.net.operations import arrangement as arrange
from filler_server.net.operations import combination as combine
from filler_server.net.operations import convolution as convolve
from filler_server.net.operations import data as read
from filler_server.net.operations import detection as detect
from filler_server.net.operations import inner_product as inner
from filler_server.net.operations import normalization as normal
from filler_server.net.operations import pooling as pool
from filler_server.net.operations.base import single
from filler_server.net.plan import Shape

IMAGE = (2, 6, 8, 10)
CLIP = (2, 3, 16, 12, 10)
ROIS = (30, 5)
ONE = {"stride": (1, 1), "pad": (0, 0), "dilation": (1, 1)}
PLAIN = read.Transform()

OPERATIONS: list[tuple[str, list[Shape], Operation]] = [
    # Value by value
    ('type: "AbsVal"', [IMAGE], activation.AbsVal()),
    ('type: "BNLL"', [IMAGE], activation.BNLL()),
    ('type: "Clip" clip_param { min: -1 max: 2.5 }', [IMAGE], activation.Clip(lower=-1.0, upper=2.5)),
    ('type: "Dropout"', [IMAGE], activation.Dropout(ratio=0.5)),
    ('type: "Dropout" phase: TRAIN dropout_param { dropout_ratio: 0.25 }', [IMAGE], activation.Dropout(ratio=0.25, random=True)),
    ('type: "ELU" elu_param { alpha: 0.5 }', [IMAGE], activation.ELU(alpha=0.5)),
    ('type: "Exp"', [IMAGE], activation.Exp(base=e)),
    ('type: "Exp" exp_param { base: 2 scale: 3 shift: -1 }', [IMAGE], activation.Exp(base=2.0, scale=3.0, shift=-1.0)),
    ('type: "Log" log_param { base: 10 }', [IMAGE], activation.Log(base=10.0)),
    ('type: "Power" power_param { power: 3 scale: 2 shift: 1 }', [IMAGE], activation.Power(power=3.0, scale=2.0, shift=1.0)),
    ('type: "PReLU"', [IMAGE], activation.PReLU()),
    ('type: "PReLU" prelu_param { channel_shared: true }', [IMAGE], activation.PReLU(channel_shared=True)),
    ('type: "ReLU"', [IMAGE], activation.ReLU()),
    ('type: "ReLU" relu_param { negative_slope: 0.1 }', [IMAGE], activation.ReLU(negative_slope=single(0.1))),
    ('type: "ReLU6"', [IMAGE], activation.ReLU6()),
    ('type: "ReLU6" relu6_param { negative_slope: 0.1 }', [IMAGE], activation.ReLU6(negative_slope=single(0.1))),
    ('type: "NegReLU" relu_param { negative_slope: 0.5 }', [IMAGE], activation.NegReLU(negative_slope=0.5)),
    ('type: "Sigmoid"', [IMAGE], activation.Sigmoid()),
    ('type: "SignedSqrt"', [IMAGE], activation.SignedSqrt()),
    ('type: "SignedPower" power_param { power: 0.5 }', [IMAGE], activation.SignedPower(power=0.5)),
    ('type: "Softmax"', [IMAGE], activation.Softmax(axis=1)),
    ('type: "Softmax" softmax_param { axis: -1 }', [IMAGE], activation.Softmax(axis=3)),
    ('type: "Softmax" softmax_param { axis: -1 }', [None], activation.Softmax(axis=-1)),
    ('type: "Dropout" dropout_param { scale_train: false }', [IMAGE], activation.Dropout(scale_train=False)),
    ('type: "Dropout" dropout_param { sample_weights_test: true }', [IMAGE], activation.Dropout(random=True, random_in_test=True)),
    ('type: "SpatialDropout" phase: TRAIN dropout_param { dropout_ratio: 0.25 }', [IMAGE], activation.Dropout(ratio=0.25, random=True, whole_channels=True)),
    ('type: "Swish" swish_param { beta: 2 }', [IMAGE], activation.Swish(beta=2.0)),
    ('type: "TanH"', [IMAGE], activation.TanH()),
    ('type: "Threshold" threshold_param { threshold: 0.5 }', [IMAGE], activation.Threshold(threshold=0.5)),
    ('type: "Noise" phase: TRAIN noise_param { gaussian_std: 0.5 }', [IMAGE], activation.Noise(gaussian_std=0.5, random=True)),
    ('type: "Insanity"', [IMAGE], activation.Insanity()),
    ('type: "SeLu"', [IMAGE], Custom(layer_type="SeLu")),
    # Convolution
    (
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 }',
        [IMAGE],
        convolve.Convolution(num_output=4, kernel=(3, 3), **ONE),
    ),
    (
        'type: "Convolution" convolution_param { num_output: 9 kernel_h: 1 kernel_w: 5 pad_h: 0 pad_w: 2 stride_h: 2 stride_w: 1 group: 3 bias_term: false }',
        [IMAGE],
        convolve.Convolution(num_output=9, kernel=(1, 5), stride=(2, 1), pad=(0, 2), dilation=(1, 1), group=3, bias=False),
    ),
    (
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 2 axis: -2 dilation: 2 }',
        [IMAGE],
        convolve.Convolution(num_output=4, kernel=(2,), stride=(1,), pad=(0,), dilation=(2,), axis=2),
    ),
    (
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 }',
        [None],
        convolve.Convolution(num_output=4, kernel=None, stride=None, pad=None, dilation=None),
    ),
    (
        'type: "Convolution" convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 }',
        [None],
        convolve.Convolution(num_output=4, kernel=(3, 2), **ONE),
    ),
    (
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 hole: 2 }',
        [IMAGE],
        convolve.Convolution(num_output=4, kernel=(3, 3), stride=(1, 1), pad=(0, 0), dilation=(2, 2)),
    ),
    (
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 kernel_depth: 2 temporal_stride: 2 }',
        [CLIP],
        convolve.Convolution(num_output=4, kernel=(2, 3, 3), stride=(2, 1, 1), pad=(0, 0, 0), dilation=(1, 1, 1)),
    ),
    (
        'type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 2 }',
        [IMAGE],
        convolve.Deconvolution(num_output=4, kernel=(4, 4), stride=(2, 2), pad=(1, 1), dilation=(1, 1), group=2),
    ),
    (
        'type: "DepthwiseConvolution" convolution_param { num_output: 6 kernel_size: 3 }',
        [IMAGE],
        convolve.Convolution(num_output=6, group=6, kernel=(3, 3), **ONE),
    ),
    (
        'type: "ConvolutionDepthwise" convolution_param { kernel_size: 3 pad: 1 bias_term: false }',
        [(2, None, 8, 10)],
        convolve.Convolution(num_output=None, group=None, kernel=(3, 3), stride=(1, 1), pad=(1, 1), dilation=(1, 1), bias=False),
    ),
    (
        'type: "Convolution3D" convolution_param { num_output: 4 kernel_size: 3 kernel_depth: 2 pad: 1 }',
        [CLIP],
        convolve.Convolution(num_output=4, kernel=(2, 3, 3), stride=(1, 1, 1), pad=(0, 1, 1), dilation=(1, 1, 1)),
    ),
    (
        'type: "NdConvolution" convolution_param { num_output: 4 kernel_shape { dim: [3, 3, 3] } }',
        [CLIP],
        convolve.Convolution(num_output=4, kernel=(3, 3, 3), stride=(1, 1, 1), pad=(0, 0, 0), dilation=(1, 1, 1), squeeze=True),
    ),
    ('type: "Im2col" convolution_param { kernel_size: 3 stride: 2 pad: 1 }', [IMAGE], convolve.Im2col(kernel=(3, 3), stride=(2, 2), pad=(1, 1), dilation=(1, 1))),
    ('type: "Local" local_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 }', [IMAGE], convolve.Local(num_output=4, kernel=(3, 3), stride=(2, 2), pad=(1, 1), dilation=(1, 1))),
    ('type: "CCCP" cccp_param { num_output: 4 group: 3 bias_term: false }', [IMAGE], convolve.CCCP(num_output=4, group=3, bias=False)),
    # Pooling
    (
        'type: "Pooling" pooling_param { kernel_size: 3 stride: 2 }',
        [IMAGE],
        pool.Pooling(kernel=(3, 3), stride=(2, 2), pad=(0, 0)),
    ),
    (
        'type: "Pooling" pooling_param { pool: AVE kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0 round_mode: FLOOR }',
        [IMAGE],
        pool.Pooling(method="ave", kernel=(2, 3), stride=(2, 1), pad=(1, 0), ceil=False),
    ),
    ('type: "Pooling" pooling_param { kernel_size: 3 ceil_mode: false }', [IMAGE], pool.Pooling(kernel=(3, 3), stride=(1, 1), pad=(0, 0), ceil=False)),
    ('type: "Pooling" pooling_param { pool: AVE global_pooling: true }', [IMAGE], pool.Pooling(method="ave", kernel=(8, 10), stride=(1, 1), pad=(0, 0), global_pooling=True)),
    ('type: "Pooling" pooling_param { pool: AVE global_pooling: true }', [None], pool.Pooling(method="ave", kernel=(None, None), stride=(1, 1), pad=(0, 0), global_pooling=True)),
    ('type: "Pooling" phase: TRAIN pooling_param { pool: STOCHASTIC kernel_size: 2 }', [IMAGE], pool.Pooling(method="stochastic", kernel=(2, 2), stride=(1, 1), pad=(0, 0), random=True)),
    ('type: "Pooling" pooling_param { kernel_size: [1, 2, 2] stride: [1, 2, 2] }', [CLIP], pool.Pooling(kernel=(1, 2, 2), stride=(1, 2, 2), pad=(0, 0, 0))),
    ('type: "Pooling3D" pooling_param { kernel_size: 2 stride: 2 kernel_depth: 3 temporal_stride: 2 }', [CLIP], pool.Pooling(kernel=(3, 2, 2), stride=(2, 2, 2), pad=(0, 0, 0), clip=False)),
    ('type: "Pooling3D" pooling3d_param { pool: AVE kernel_size: 3 kernel_l: 1 stride: 2 }', [CLIP], pool.Pooling(method="ave", kernel=(1, 3, 3), stride=(1, 2, 2), pad=(0, 0, 0))),
    ('type: "NdPooling" pooling_param { kernel_shape { dim: [1, 2, 2] } }', [CLIP], pool.Pooling(kernel=(1, 2, 2), stride=(1, 1, 1), pad=(0, 0, 0), ceil=False, squeeze=True)),
    ('type: "SPP" spp_param { pyramid_height: 3 pool: AVE }', [IMAGE], pool.SPP(levels=3, method="ave")),
    # Inner products
    ('type: "InnerProduct" inner_product_param { num_output: 5 }', [IMAGE], inner.InnerProduct(num_output=5)),
    ('type: "InnerProduct" inner_product_param { num_output: 5 axis: -2 transpose: true bias_term: false }', [IMAGE], inner.InnerProduct(num_output=5, axis=2, transpose=True, bias=False)),
    ('type: "InnerProduct" inner_product_param { num_output: 5 axis: -2 }', [None], inner.InnerProduct(num_output=5, axis=-2)),
    ('type: "InnerProduct" inner_product_param { }', [(4, 7), (9, 7)], inner.InnerProduct(num_output=9, weight_bottom=True)),
    ('type: "InnerProduct" inner_product_param { num_output: 5 enable_noise: true }', [IMAGE], Custom(layer_type="InnerProduct", fields=(("inner_product_param", "num_output: 5"), ("inner_product_param.enable_noise", "true")))),
    ('type: "Embed" embed_param { num_output: 3 input_dim: 9 bias_term: false }', [(4, 7)], inner.Embed(num_output=3, input_dim=9, bias=False)),
    (
        'type: "MarginInnerProduct" margin_inner_product_param { num_output: 9 type: QUADRUPLE base: 1000 gamma: 0.5 power: 1 lambda_min: 5 iteration: 0 }',
        [IMAGE, (2,)],
        inner.MarginInnerProduct(layer_type="MarginInnerProduct", num_output=9, margin="quadruple", base=1000.0, gamma=0.5, lambda_min=5.0),
    ),
    # Normalization
    ('type: "BatchNorm"', [IMAGE], normal.BatchNorm(eps=single(1e-5), use_global_stats=True, moving_average_fraction=single(0.999))),
    ('type: "BatchNorm" phase: TRAIN', [IMAGE], normal.BatchNorm(eps=single(1e-5), use_global_stats=False, moving_average_fraction=single(0.999))),
    (
        'type: "BatchNorm" phase: TRAIN batch_norm_param { use_global_stats: true eps: 0.5 scale_bias: true }',
        [IMAGE],
        normal.BatchNorm(eps=0.5, use_global_stats=True, moving_average_fraction=single(0.999), scale_bias=True),
    ),
    ('type: "BN" bn_param { slope_filler { } eps: 0.5 }', [IMAGE], normal.BN(statistics="stored", eps=0.5, momentum=single(0.9))),
    ('type: "BN" phase: TRAIN bn_param { slope_filler { } momentum: 0.5 }', [IMAGE], normal.BN(statistics="batch", eps=single(1e-5), momentum=0.5)),
    ('type: "BN" phase: TRAIN bn_param { frozen: true engine: CUDNN }', [IMAGE], normal.BN(statistics="stored", eps=single(1e-5), momentum=single(0.9))),
    ('type: "BN" bn_param { scale_filler { } }', [IMAGE], normal.BN(statistics="batch", eps=single(1e-9))),
    ('type: "BN" bn_param { scale_filler { } bn_mode: INFERENCE }', [IMAGE], normal.BN(statistics="none", eps=single(1e-9))),
    ('type: "BN" bn_param { scale_filler { } bn_mode: 1 }', [IMAGE], normal.BN(statistics="none", eps=single(1e-9))),
    ('type: "SyncBN"', [IMAGE], normal.BN(statistics="stored", eps=single(1e-5), momentum=single(0.9))),
    ('type: "LRN"', [IMAGE], normal.LRN(local_size=5, alpha=1.0, beta=0.75, k=1.0)),
    ('type: "LRN" lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 2 k: 5 }', [IMAGE], normal.LRN(local_size=3, alpha=2.0, beta=0.75, k=1.0, region="within_channel")),
    ('type: "MVN" mvn_param { normalize_variance: false across_channels: true }', [IMAGE], normal.MVN(normalize_variance=False, across_channels=True, eps=single(1e-9))),
    ('type: "Normalize" norm_param { across_spatial: false channel_shared: false }', [IMAGE], normal.Normalize(across_spatial=False, channel_shared=False, eps=single(1e-10))),
    ('type: "Normalize" top: "a" top: "b" normalize_param { normalize_type: "L1" }', [IMAGE], normal.NormalizeChannels(norm="l1")),
    ('type: "Scale"', [IMAGE], normal.Scale(axis=1, num_axes=1)),
    ('type: "Scale" scale_param { axis: -2 num_axes: -1 bias_term: true }', [IMAGE], normal.Scale(axis=2, num_axes=2, bias=True)),
    ('type: "Scale" scale_param { num_axes: 0 }', [IMAGE], normal.Scale(axis=0, num_axes=0)),
    ('type: "Scale" scale_param { axis: 0 }', [IMAGE, (2, 6)], normal.Scale(axis=0, num_axes=2, from_bottom=True)),
    ('type: "Scale"', [None], normal.Scale(axis=1, num_axes=1)),
    ('type: "Scale" scale_param { num_axes: -1 }', [None], normal.Scale(axis=1, num_axes=None)),
    ('type: "Bias" bias_param { axis: 2 }', [IMAGE], normal.Bias(axis=2, num_axes=1)),
    ('type: "Bias" bias_param { axis: 1 }', [IMAGE, (6,)], normal.Bias(axis=1, num_axes=1, from_bottom=True)),
    # Arrangement
    ('type: "Flatten"', [IMAGE], arrange.Flatten(axis=1, end_axis=3)),
    ('type: "Flatten" flatten_param { axis: -3 end_axis: -2 }', [IMAGE], arrange.Flatten(axis=1, end_axis=2)),
    ('type: "Flatten"', [None], arrange.Flatten(axis=1, end_axis=-1)),
    ('type: "Concat" concat_param { axis: -1 }', [IMAGE, IMAGE], arrange.Concat(axis=3)),
    ('type: "Concat" concat_param { concat_dim: 2 }', [IMAGE, IMAGE], arrange.Concat(axis=2)),
    ('type: "Concat" concat_param { axis: -1 }', [None, None], arrange.Concat(axis=-1)),
    ('type: "Concat" concat_param { per_fla_fuse: true }', [IMAGE, IMAGE], arrange.Concat(axis=1, flatten=True)),
    ('type: "Slice" top: "a" top: "b" slice_param { axis: -2 slice_point: 3 }', [IMAGE], arrange.Slice(axis=2, points=(3,))),
    ('type: "Slice" top: "a" top: "b" top: "c"', [IMAGE], arrange.Slice(axis=1, points=(2, 4))),
    ('type: "Slice" top: "a" top: "b" top: "c"', [(2, None, 8, 10)], arrange.Slice(axis=1, points=(None, None))),
    ('type: "Crop" crop_param { offset: 1 }', [IMAGE, (2, 6, 3, 4)], arrange.Crop(axis=2, offsets=(1, 1))),
    ('type: "Crop" crop_param { axis: -1 offset: 3 }', [IMAGE, (2, 6, 3, 4)], arrange.Crop(axis=3, offsets=(3,))),
    ('type: "Crop"', [IMAGE, (2, 6, 3, 4)], arrange.Crop(axis=2, offsets=(0, 0))),
    ('type: "Split" top: "a" top: "b"', [IMAGE], arrange.Split()),
    ('type: "Tile" tile_param { axis: -1 tiles: 3 }', [IMAGE], arrange.Tile(axis=3, tiles=3)),
    ('type: "Reshape" reshape_param { shape { dim: [0, -1] } }', [IMAGE], arrange.Reshape(dims=(0, -1), axis=0, num_axes=4)),
    ('type: "Reshape" reshape_param { shape { dim: [1, 50] } axis: -3 num_axes: 2 }', [(2, 3, 6, 10, 5)], arrange.Reshape(dims=(1, 50), axis=3, num_axes=2)),
    ('type: "Reshape" reshape_param { shape { dim: [0, -1] } }', [None], arrange.Reshape(dims=(0, -1), axis=0, num_axes=None)),
    ('type: "Permute" permute_param { order: 0 order: 2 order: 3 }', [IMAGE], arrange.Permute(order=(0, 2, 3, 1))),
    ('type: "Permute" permute_param { order: 0 order: 2 order: 3 }', [None], arrange.Permute(order=(0, 2, 3))),
    ('type: "Transpose" transpose_param { dim: [3, 2, 1, 0] }', [IMAGE], arrange.Permute(order=(3, 2, 1, 0))),
    ('type: "ShuffleChannel" shuffle_channel_param { group: 3 }', [IMAGE], arrange.ShuffleChannel(group=3)),
    ('type: "Flip" flip_param { flip_height: true }', [IMAGE], arrange.Flip(width=True, height=True)),
    ('type: "Reverse" reverse_param { axis: -1 }', [IMAGE], arrange.Reverse(axis=3)),
    ('type: "Axpy"', [(2, 6), IMAGE, IMAGE], arrange.Axpy()),
    ('type: "BroadcastMul"', [IMAGE, (2, 6)], arrange.BroadcastMul()),
    ('type: "Gather"', [IMAGE], arrange.Identity()),
    (
        'type: "SpatialTransformer" st_param { output_H: 4 theta_1_2: 0 theta_2_1: 0.5 to_compute_dU: false }',
        [IMAGE, (2, 4)],
        arrange.SpatialTransformer(size=(4, 10), theta=(None, 0.0, None, 0.5, None, None)),
    ),
    # Combination
    ('type: "Eltwise"', [IMAGE] * 3, combine.Eltwise(operation="sum", coefficients=(1.0, 1.0, 1.0))),
    ('type: "Eltwise" eltwise_param { coeff: [1, -0.5] }', [IMAGE] * 2, combine.Eltwise(operation="sum", coefficients=(1.0, -0.5))),
    ('type: "Eltwise" eltwise_param { operation: PROD }', [IMAGE] * 2, combine.Eltwise(operation="prod")),
    ('type: "Eltwise" eltwise_param { operation: MAX }', [IMAGE] * 2, combine.Eltwise(operation="max")),
    ('type: "Reduction"', [IMAGE], combine.Reduction(operation="sum", axis=0)),
    ('type: "Reduction" reduction_param { operation: ASUM axis: -2 coeff: 0.5 }', [IMAGE], combine.Reduction(operation="asum", axis=2, coefficient=0.5)),
    ('type: "ArgMax"', [IMAGE], combine.ArgMax(axis=None)),
    ('type: "ArgMax" argmax_param { axis: -1 top_k: 2 out_max_val: true }', [IMAGE], combine.ArgMax(axis=3, top_k=2, values=True)),
    ('type: "BatchReindex"', [IMAGE, (5,)], combine.BatchReindex()),
    ('type: "Filter"', [IMAGE, (2,)], combine.Filter()),
    # Losses
    ('type: "SoftmaxWithLoss"', [IMAGE, (2, 8, 10)], losses.SoftmaxWithLoss(axis=1, normalization="valid")),
    (
        'type: "SoftmaxWithLoss" softmax_param { axis: -1 } loss_param { ignore_label: 255 normalize: false }',
        [IMAGE, (2, 6, 8)],
        losses.SoftmaxWithLoss(axis=3, normalization="batch_size", ignore_label=255),
    ),
    ('type: "SoftmaxWithLoss" loss_param { normalize: false normalization: NONE }', [IMAGE, (2, 8, 10)], losses.SoftmaxWithLoss(axis=1, normalization="none")),
    ('type: "SigmoidCrossEntropyLoss"', [IMAGE, IMAGE], losses.SigmoidCrossEntropyLoss(normalization="batch_size")),
    ('type: "SigmoidCrossEntropyLoss" loss_param { normalize: true ignore_label: -1 }', [IMAGE, IMAGE], losses.SigmoidCrossEntropyLoss(normalization="valid", ignore_label=-1)),
    ('type: "InfogainLoss" infogain_loss_param { source: "h.binaryproto" }', [(2, 6), (2,)], losses.InfogainLoss(source="h.binaryproto")),
    ('type: "InfogainLoss" infogain_loss_param { axis: -1 }', [(2, 6), (2,), (6, 6)], losses.InfogainLoss(axis=1, source=None)),
    ('type: "HingeLoss" hinge_loss_param { norm: L2 }', [(2, 6), (2,)], losses.HingeLoss(norm="l2")),
    ('type: "EuclideanLoss"', [(2, 6), (2, 6)], losses.EuclideanLoss()),
    ('type: "ContrastiveLoss" contrastive_loss_param { margin: 2 legacy_version: true }', [(2, 6), (2, 6), (2,)], losses.ContrastiveLoss(margin=2.0, legacy_version=True)),
    ('type: "MultinomialLogisticLoss"', [(2, 6), (2,)], losses.MultinomialLogisticLoss()),
    ('type: "Accuracy" accuracy_param { top_k: 5 axis: -3 ignore_label: 0 }', [IMAGE, (2, 8, 10)], losses.Accuracy(top_k=5, axis=1, ignore_label=0)),
    ('type: "SmoothL1Loss" smooth_l1_loss_param { sigma: 3 }', [(2, 6)] * 4, losses.SmoothL1Loss(sigma=3.0)),
    ('type: "SmoothL1LossOHEM" top: "a" top: "b" loss_weight: 1 loss_weight: 0', [IMAGE] * 2, losses.SmoothL1Loss(places=True, normalization="valid")),
    ('type: "CenterLoss" center_loss_param { num_output: 10 }', [(4, 5), (4,)], losses.CenterLoss(num_output=10, axis=1)),
    ('type: "FocalLoss" focal_loss_param { alpha: 0.25 } softmax_param { axis: 2 }', [(2, 6), (2,)], Custom(layer_type="FocalLoss", fields=(("softmax_param", "axis: 2"), ("focal_loss_param", "alpha: 0.25")))),
    # Recurrent
    ('type: "LSTM" recurrent_param { num_output: 7 }', [(5, 2, 3), (5, 2)], recurrent.LSTM(num_output=7)),
    (
        'type: "LSTM" top: "h" top: "hT" top: "cT" recurrent_param { num_output: 7 expose_hidden: true }',
        [(5, 2, 3), (5, 2), (2, 4), (1, 2, 7), (1, 2, 7)],
        recurrent.LSTM(num_output=7, static_input=True, expose_hidden=True),
    ),
    ('type: "RNN" recurrent_param { num_output: 7 }', [(5, 2, 3), (5, 2)], recurrent.RNN(num_output=7)),
    ('type: "LSTMUnit" top: "c" top: "h"', [(1, 2, 3), (1, 2, 12), (1, 2)], recurrent.LSTMUnit()),
    ('type: "Lstm" lstm_param { num_output: 5 batch_size: 2 clipping_threshold: 0.5 }', [(6, 7)], recurrent.Lstm(num_output=5, batch_size=2, clipping_threshold=0.5)),
    ('type: "ContinuationIndicator" continuation_indicator_param { time_step: 8 axis: 1 }', [(9, None)], recurrent.ContinuationIndicator(time_step=8, batch=None)),
    # Data
    ('type: "Input" input_param { shape { dim: 2 } }', [], read.Input()),
    (
        'type: "Data" phase: TRAIN data_param { source: "db" backend: LMDB batch_size: 4 } transform_param { crop_size: 5 mirror: true scale: 0.5 mean_value: [1, 2, 3] }',
        [],
        read.Data(source="db", backend="lmdb", batch_size=4, transform=read.Transform(scale=0.5, mean_values=(1.0, 2.0, 3.0), crop=(5, 5), random_crop=True, mirror=True)),
    ),
    (
        'type: "Data" data_param { batch_size: 4 } transform_param { mean_file: "m" crop_height: 20 crop_width: 24 resize_param { height: 30 width: 40 } }',
        [],
        read.Data(batch_size=4, transform=read.Transform(mean_file="m", crop=(20, 24), resize="height: 30 width: 40")),
    ),
    (
        'type: "ImageData" top: "a" top: "b" image_data_param { source: "s" root_folder: "r/" batch_size: 4 new_height: 8 new_width: 9 is_color: false shuffle: true rand_skip: 3 }',
        [],
        read.ImageData(source="s", root_folder="r/", batch_size=4, shuffle=True, rand_skip=3, size=(8, 9), channels=1, transform=PLAIN),
    ),
    (
        'type: "WindowData" top: "a" top: "b" window_data_param { source: "w" batch_size: 4 fg_fraction: 0.5 context_pad: 16 crop_mode: "square" } transform_param { crop_size: 9 }',
        [],
        read.WindowData(source="w", batch_size=4, fg_fraction=0.5, context_pad=16, crop_mode="square", transform=read.Transform(crop=(9, 9))),
    ),
    ('type: "MemoryData" top: "a" top: "b" memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 }', [], read.MemoryData(size=(2, 3, 4, 5), transform=PLAIN)),
    ('type: "HDF5Data" hdf5_data_param { source: "s" batch_size: 4 shuffle: true }', [], read.HDF5Data(source="s", batch_size=4, shuffle=True)),
    ('type: "DummyData" dummy_data_param { shape { dim: 2 } data_filler { std: 2 type: "gaussian" } }', [], read.DummyData(fillers=('type: "gaussian" std: 2.0',))),
    ('type: "DummyData" top: "a" top: "b" dummy_data_param { shape { dim: 2 } }', [], read.DummyData(fillers=('type: "constant"',))),
    ('type: "Parameter" parameter_param { shape { dim: 3 } }', [], read.Parameter()),
    (
        'type: "AnnotatedData" data_param { batch_size: 4 } annotated_data_param { anno_type: BBOX }',
        [],
        read.ForkData(layer_type="AnnotatedData", transform=PLAIN, fields=(("data_param", "batch_size: 4"), ("annotated_data_param", "anno_type: BBOX"))),
    ),
    # Detection
    (
        'type: "PriorBox" prior_box_param { min_size: 30.5 max_size: 60 aspect_ratio: [2, 1, 3, 2] variance: 0.5 }',
        [(1, 8, 4, 5), (1, 3, 300, 200)],
        detect.PriorBox(
            min_sizes=(30,),
            max_sizes=(60,),
            ratios=(1.0, 2.0, 0.5, 3.0, single(1 / 3)),
            variances=(0.5,) * 4,
            image=(300, 200),
            step=(75.0, 40.0),
        ),
    ),
    (
        'type: "PriorBox" prior_box_param { min_size: 30 aspect_ratio: 2 flip: false clip: true variance: [0.5, 0.5, 0.25, 0.25] img_size: 300 step_h: 8 step_w: 16 offset: 0 }',
        [(1, 8, 4, 5)],
        detect.PriorBox(min_sizes=(30,), ratios=(1.0, 2.0), variances=(0.5, 0.5, 0.25, 0.25), clip=True, offset=0.0, image=(300, 300), step=(8.0, 16.0)),
    ),
    (
        'type: "PriorBox" prior_box_param { min_size: 30 }',
        [(1, 8, 4, 5), None],
        detect.PriorBox(min_sizes=(30,), ratios=(1.0,), variances=(single(0.1),) * 4, image=(None, None), step=(None, None)),
    ),
    (
        'type: "PriorBoxClustered" prior_box_param { width: [3, 4] height: [5, 6] img_size: 8 step: 2 }',
        [(1, 8, 4, 5)],
        detect.PriorBoxClustered(widths=(3.0, 4.0), heights=(5.0, 6.0), variances=(single(0.1),) * 4, image=(8, 8), step=(2.0, 2.0)),
    ),
    (
        'type: "DetectionOutput" detection_output_param { num_classes: 21 }',
        [(1, 24), (1, 126), (1, 2, 24)],
        detect.DetectionOutput(num_classes=21, nms_threshold=single(0.3)),
    ),
    (
        'type: "DetectionOutput" detection_output_param { num_classes: 21 background_label_id: -1 share_location: true code_type: CENTER_SIZE keep_top_k: 200 '
        'confidence_threshold: 0.5 variance_encoded_in_target: true save_output_param { output_format: "VOC" } nms_param { nms_threshold: 0.45 top_k: 400 eta: 0.5 } visualize: true }',
        [(1, 24), (1, 126), (1, 2, 24)],
        detect.DetectionOutput(
            num_classes=21,
            background_label_id=-1,
            code_type="center_size",
            variance_encoded_in_target=True,
            keep_top_k=200,
            confidence_threshold=0.5,
            nms_threshold=single(0.45),
            top_k=400,
            eta=0.5,
        ),
    ),
    ('type: "DetectionEvaluate" detection_evaluate_param { num_classes: 21 background_label_id: 0 overlap_threshold: 0.25 }', [(1, 1, 6, 7), (1, 1, 9, 8)], detect.DetectionEvaluate(num_classes=21, overlap_threshold=0.25)),
    (
        'type: "MultiBoxLoss" multibox_loss_param { num_classes: 21 neg_pos_ratio: 2 code_type: 2 conf_loss_type: LOGISTIC } loss_param { normalization: FULL }',
        [(2, 24), (2, 126), (1, 2, 24), (1, 1, 9, 8)],
        detect.MultiBoxLoss(num_classes=21, neg_pos_ratio=2.0, code_type="center_size", conf_loss_type="logistic", normalization="full"),
    ),
    ('type: "Reorg" reorg_param { stride: 2 }', [IMAGE], detect.Reorg(stride=2)),
    # Regions
    ('type: "ROIPooling" roi_pooling_param { pooled_h: 6 pooled_w: 7 spatial_scale: 0.0625 }', [IMAGE, ROIS], regions.ROIPooling(pooled=(6, 7), spatial_scale=0.0625)),
    ('type: "ROIPooling" roi_pooling_param { pooled_size: 3 }', [CLIP, ROIS], regions.ROIPooling(pooled=(3, 3, 3))),
    ('type: "ROIAlign" roi_align_param { pooled_h: 6 pooled_w: 7 sampling_ratio: 2 }', [IMAGE, ROIS], regions.ROIAlign(pooled=(6, 7), sampling_ratio=2)),
    ('type: "PSROIPooling" psroi_pooling_param { output_dim: 2 group_size: 3 spatial_scale: 0.0625 }', [(1, 18, 8, 8), ROIS], regions.PSROIPooling(output_dim=2, group_size=3, spatial_scale=0.0625)),
    ('type: "PSROIAlign" psroi_align_param { output_dim: 2 group_size: 3 spatial_scale: 0.0625 sample_num: 2 }', [(1, 18, 8, 8), ROIS], regions.PSROIAlign(output_dim=2, group_size=3, spatial_scale=0.0625, sample_num=2)),
    (
        'type: "Proposal" proposal_param { ratio: [0.5, 1, 2] scale: 8 post_nms_topn: 100 }',
        [(1, 18, 8, 8), (1, 36, 8, 8), (1, 4)],
        regions.Proposal(ratios=(0.5, 1.0, 2.0), scales=(8.0,), post_nms_topn=100, nms_thresh=single(0.7)),
    ),
    ('type: "BoxAnnotatorOHEM" top: "a" top: "b" box_annotator_ohem_param { roi_per_img: 128 }', [ROIS, (30, 1), (30, 1), (30, 8)], losses.BoxAnnotatorOHEM(roi_per_img=128)),
    # Sizes
    ('type: "Interp" interp_param { zoom_factor: 2 pad_beg: -1 }', [IMAGE], resizing.Interp(size=(13, 17), pad_beg=-1)),
    ('type: "Interp" interp_param { height: 33 width: 35 }', [None], resizing.Interp(size=(33, 35))),
    ('type: "Interp" interp_param { shrink_factor: 2 }', [None], resizing.Interp(size=(None, None))),
    ('type: "Upsample" upsample_param { scale: 3 }', [IMAGE], resizing.Upsample(size=(24, 30), scale=3)),
    ('type: "Upsample" upsample_param { scale: 2 pad_out_h: true }', [IMAGE, IMAGE], resizing.Upsample(size=(15, 20), mask=True)),
    ('type: "Upsample" upsample_param { upsample_h: 15 upsample_w: 19 scale: 2 }', [IMAGE, IMAGE], resizing.Upsample(size=(15, 19), mask=True)),
    ('type: "Resample" resample_param { width: 5 height: 4 type: NEAREST antialias: false }', [IMAGE], resizing.Resample(size=(4, 5), method="nearest", antialias=False)),
    ('type: "Downsample"', [IMAGE, (2, 6, 3, 4)], resizing.Downsample(size=(3, 4))),
    # Flow
    ('type: "Correlation" correlation_param { pad: 3 kernel_size: 3 max_displacement: 3 stride_2: 2 correlation_type: SUBTRACT }', [IMAGE, IMAGE], flow.Correlation(kernel_size=3, max_displacement=3, pad=3, stride_2=2, correlation_type="subtract")),
    ('type: "FlowWarp" flow_warp_param { fill_value: NOT_A_NUMBER }', [IMAGE, (2, 2, 8, 10)], flow.FlowWarp(fill_value="not_a_number")),
    ('type: "ChannelNorm"', [IMAGE], flow.ChannelNorm()),
    ('type: "Python" python_param { module: "m" layer: "L" param_str: "{}" }', [IMAGE], Python(module="m", layer="L", param_str="{}")),
]  # fmt: skip
