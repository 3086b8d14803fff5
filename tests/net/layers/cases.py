# ruff: noqa: E501 - a case of the table is a line
"""Every layer type at work: (fields, bottoms, tops, blobs)."""

from filler_server.net.plan import Shape

IMAGE = (2, 6, 8, 10)

CASES: list[tuple[str, list[Shape], list[Shape], list[Shape]]] = [
    # Convolution, Deconvolution, Im2col
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 }', [IMAGE], [(2, 4, 6, 8)], [(4, 6, 3, 3), (4,)]),
    (
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 bias_term: false }',
        [IMAGE],
        [(2, 4, 4, 5)],
        [(4, 6, 3, 3)],
    ),
    (
        'type: "Convolution" convolution_param { num_output: 9 kernel_h: 1 kernel_w: 5 pad_h: 0 pad_w: 2 stride_h: 2 '
        "stride_w: 1 group: 3 }",
        [IMAGE],
        [(2, 9, 4, 10)],
        [(9, 2, 1, 5), (9,)],
    ),
    (
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 kernel_size: 2 dilation: 2 dilation: 3 }',
        [IMAGE],
        [(2, 4, 4, 7)],
        [(4, 6, 3, 2), (4,)],
    ),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 2 force_nd_im2col: true }', [(1, 3, 5, 5, 5)], [(1, 4, 4, 4, 4)], [(4, 3, 2, 2, 2), (4,)]),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 2 axis: 2 }', [(7, 3, 5, 9)], [(7, 3, 4, 8)], [(4, 5, 2), (4,)]),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 1 axis: -1 }', [(7, 3)], [(7, 4)], [(4, 3), (4,)]),
    # A window that misses the end by less than a stride still counts once: C++ divides toward zero.
    ('type: "Convolution" convolution_param { num_output: 1 kernel_size: 4 stride: 2 }', [(1, 1, 3, 3)], [(1, 1, 1, 1)], [(1, 1, 4, 4), (1,)]),
    ('type: "Convolution" top: "a" top: "b" convolution_param { num_output: 4 kernel_size: 3 }', [IMAGE, IMAGE], [(2, 4, 6, 8)] * 2, [(4, 6, 3, 3), (4,)]),
    ('type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 }', [IMAGE], [(2, 4, 16, 20)], [(6, 4, 4, 4), (4,)]),
    ('type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 3 group: 2 dilation: 2 bias_term: false }', [IMAGE], [(2, 4, 12, 14)], [(6, 2, 3, 3)]),
    ('type: "Im2col" convolution_param { kernel_size: 3 stride: 2 pad: 1 }', [IMAGE], [(2, 54, 4, 5)], []),
    # Pooling, SPP
    ('type: "Pooling" pooling_param { kernel_size: 3 stride: 2 }', [(1, 3, 6, 7)], [(1, 3, 3, 3)], []),
    ('type: "Pooling" pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }', [(1, 3, 6, 7)], [(1, 3, 2, 3)], []),
    ('type: "Pooling" pooling_param { pool: AVE kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0 }', [IMAGE], [(2, 6, 5, 8)], []),
    ('type: "Pooling" pooling_param { kernel_size: 2 stride: 3 pad: 1 }', [(1, 3, 2, 5)], [(1, 3, 1, 2)], []),
    ('type: "Pooling" pooling_param { pool: AVE global_pooling: true }', [IMAGE], [(2, 6, 1, 1)], []),
    ('type: "Pooling" top: "a" top: "b" pooling_param { kernel_size: 2 stride: 2 }', [IMAGE], [(2, 6, 4, 5)] * 2, []),
    ('type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 2 }', [IMAGE], [(2, 6, 7, 9)], []),
    ('type: "SPP" spp_param { pyramid_height: 3 }', [IMAGE], [(2, 6 * 21)], []),
    ('type: "SPP" spp_param { pyramid_height: 1 pool: AVE }', [IMAGE], [(2, 6, 1, 1)], []),
    # InnerProduct, Embed
    ('type: "InnerProduct" inner_product_param { num_output: 5 }', [IMAGE], [(2, 5)], [(5, 480), (5,)]),
    ('type: "InnerProduct" inner_product_param { num_output: 5 axis: -2 transpose: true bias_term: false }', [IMAGE], [(2, 6, 5)], [(80, 5)]),
    ('type: "InnerProduct" inner_product_param { num_output: 5 axis: 0 }', [IMAGE], [(5,)], [(5, 960), (5,)]),
    ('type: "Embed" embed_param { num_output: 5 input_dim: 100 }', [(3, 4)], [(3, 4, 5)], [(100, 5), (5,)]),
    ('type: "Embed" embed_param { num_output: 5 input_dim: 100 bias_term: false }', [(3,)], [(3, 5)], [(100, 5)]),
    # LSTM, RNN
    ('type: "LSTM" recurrent_param { num_output: 5 }', [(4, 2, 3, 7), (4, 2)], [(4, 2, 5)], [(20, 21), (20,), (20, 5)]),
    ('type: "LSTM" recurrent_param { num_output: 5 }', [(4, 2, 3), (4, 2), (2, 7, 2)], [(4, 2, 5)], [(20, 3), (20,), (20, 14), (20, 5)]),
    (
        'type: "LSTM" top: "y" top: "h" top: "c" recurrent_param { num_output: 5 expose_hidden: true }',
        [(4, 2, 3), (4, 2), (1, 2, 5), (1, 2, 5)],
        [(4, 2, 5), (1, 2, 5), (1, 2, 5)],
        [(20, 3), (20,), (20, 5)],
    ),
    ('type: "RNN" recurrent_param { num_output: 5 }', [(4, 2, 3), (4, 2)], [(4, 2, 5)], [(5, 3), (5,), (5, 5), (5, 5), (5,)]),
    (
        'type: "RNN" top: "y" top: "h" recurrent_param { num_output: 5 expose_hidden: true }',
        [(4, 2, 3), (4, 2), (2, 7), (1, 2, 5)],
        [(4, 2, 5), (1, 2, 5)],
        [(5, 3), (5,), (5, 7), (5, 5), (5, 5), (5,)],
    ),
    ('type: "LSTMUnit" top: "c" top: "h"', [(1, 2, 5), (1, 2, 20), (1, 2)], [(1, 2, 5)] * 2, []),
    # BatchNorm, LRN, MVN, Scale, Bias
    ('type: "BatchNorm"', [IMAGE], [IMAGE], [(6,), (6,), (1,)]),
    ('type: "LRN"', [IMAGE], [IMAGE], []),
    ('type: "LRN" lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }', [IMAGE], [IMAGE], []),
    ('type: "MVN"', [(2, 6)], [(2, 6, 1, 1)], []),
    ('type: "MVN" mvn_param { across_channels: true }', [IMAGE], [IMAGE], []),
    ('type: "Scale"', [IMAGE], [IMAGE], [(6,)]),
    ('type: "Scale" scale_param { bias_term: true axis: 2 num_axes: -1 }', [IMAGE], [IMAGE], [(8, 10), (8, 10)]),
    ('type: "Scale" scale_param { num_axes: 0 bias_term: true }', [IMAGE], [IMAGE], [(), ()]),
    ('type: "Scale" scale_param { axis: 0 bias_term: true }', [IMAGE, (2, 6)], [IMAGE], [(2, 6)]),
    ('type: "Scale"', [IMAGE, (6, 8)], [IMAGE], []),
    ('type: "Bias" bias_param { axis: -2 num_axes: 2 }', [IMAGE], [IMAGE], [(8, 10)]),
    ('type: "Bias"', [IMAGE, (6,)], [IMAGE], []),
    # Value by value
    *[(f'type: "{name}"', [IMAGE], [IMAGE], []) for name in (
        "AbsVal", "BNLL", "Dropout", "ELU", "Exp", "Log", "Power", "ReLU", "Sigmoid", "Softmax", "Swish", "TanH", "Threshold"
    )],
    ('type: "Clip" clip_param { min: 0 max: 6 }', [(3,)], [(3,)], []),
    ('type: "PReLU"', [(2, 6)], [(2, 6)], [(6,)]),
    ('type: "PReLU" prelu_param { channel_shared: true }', [IMAGE], [IMAGE], [()]),
    # Arrangement
    ('type: "Flatten"', [IMAGE], [(2, 480)], []),
    ('type: "Flatten" flatten_param { axis: 1 end_axis: 2 }', [IMAGE], [(2, 48, 10)], []),
    ('type: "Flatten" flatten_param { axis: 2 end_axis: 1 }', [IMAGE], [(2, 6, 1, 8, 10)], []),
    ('type: "Concat"', [IMAGE, IMAGE, (2, 1, 8, 10)], [(2, 13, 8, 10)], []),
    ('type: "Concat" concat_param { concat_dim: 0 }', [(2, 3), (4, 3)], [(6, 3)], []),
    ('type: "Concat" concat_param { axis: -1 }', [(2, 3)], [(2, 3)], []),
    ('type: "Slice" top: "a" top: "b" top: "c"', [IMAGE], [(2, 2, 8, 10)] * 3, []),
    ('type: "Slice" top: "a" top: "b" slice_param { axis: -1 slice_point: 3 }', [IMAGE], [(2, 6, 8, 3), (2, 6, 8, 7)], []),
    ('type: "Slice" top: "a" top: "b" slice_param { slice_dim: 0 }', [IMAGE], [(1, 6, 8, 10)] * 2, []),
    ('type: "Crop"', [IMAGE, (1, 1, 5, 6)], [(2, 6, 5, 6)], []),
    ('type: "Crop" crop_param { axis: 1 offset: 1 offset: 2 offset: 3 }', [IMAGE, (9, 5, 6, 7)], [(2, 5, 6, 7)], []),
    ('type: "Split" top: "a" top: "b"', [IMAGE], [IMAGE] * 2, []),
    ('type: "Tile" tile_param { axis: 2 tiles: 3 }', [IMAGE], [(2, 6, 24, 10)], []),
    ('type: "Reshape" reshape_param { shape { dim: 0 dim: -1 dim: 4 } }', [IMAGE], [(2, 120, 4)], []),
    ('type: "Reshape" reshape_param { shape { dim: 3 dim: 2 } axis: 1 num_axes: 1 }', [IMAGE], [(2, 3, 2, 8, 10)], []),
    ('type: "Reshape" reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }', [IMAGE], [(2, 6, 8, 10, 1)], []),
    ('type: "Reshape" reshape_param { shape { dim: -1 } }', [IMAGE], [(960,)], []),
    # A 0 beyond the replaced axes copies one that is kept as well.
    ('type: "Reshape" reshape_param { shape { dim: -1 dim: 0 } num_axes: 1 }', [(6, 3)], [(2, 3, 3)], []),
    # Combination
    ('type: "Eltwise" eltwise_param { operation: SUM coeff: 1 coeff: -1 }', [IMAGE, IMAGE], [IMAGE], []),
    ('type: "Reduction"', [IMAGE], [()], []),
    ('type: "Reduction" reduction_param { axis: -2 operation: ASUM }', [IMAGE], [(2, 6)], []),
    ('type: "ArgMax"', [IMAGE], [(2, 1, 1, 1)], []),
    ('type: "ArgMax" argmax_param { top_k: 3 out_max_val: true }', [(2, 6)], [(2, 2, 3)], []),
    ('type: "ArgMax" argmax_param { axis: 1 top_k: 2 out_max_val: true }', [IMAGE], [(2, 2, 8, 10)], []),
    ('type: "BatchReindex"', [IMAGE, (5,)], [(5, 6, 8, 10)], []),
    ('type: "Filter" top: "a" top: "b"', [IMAGE, (2, 3), (2, 1)], [IMAGE, (2, 3)], []),
    # Losses
    ('type: "SoftmaxWithLoss"', [(2, 6), (2,)], [()], []),
    ('type: "SoftmaxWithLoss" softmax_param { axis: 1 }', [IMAGE, (2, 1, 8, 10)], [()], []),
    ('type: "EuclideanLoss"', [IMAGE, (2, 480)], [()], []),
    ('type: "HingeLoss"', [(2, 6), (2,)], [()], []),
    ('type: "MultinomialLogisticLoss"', [(2, 6), (2,)], [()], []),
    ('type: "SigmoidCrossEntropyLoss"', [IMAGE, (2, 480)], [()], []),
    ('type: "ContrastiveLoss"', [(2, 6), (2, 6), (2,)], [()], []),
    ('type: "InfogainLoss" infogain_loss_param { source: "h" }', [(2, 6), (2,)], [()], []),
    ('type: "InfogainLoss" top: "l" top: "p" loss_weight: 1 loss_weight: 0', [(2, 6), (2,), (1, 1, 6, 6)], [(), (2, 6)], []),
    ('type: "Accuracy"', [(2, 6), (2,)], [()], []),
    ('type: "Accuracy" top: "a" top: "b" accuracy_param { axis: -1 top_k: 10 }', [IMAGE, (2, 6, 8)], [(), (10,)], []),
    # Forks
    # Data
    ('type: "Input" top: "a" top: "b" input_param { shape { dim: 2 dim: 3 } }', [], [(2, 3)] * 2, []),
    ('type: "Input" top: "a" top: "b" input_param { shape { dim: 2 dim: 3 } shape { } }', [], [(2, 3), ()], []),
    ('type: "Input"', [], [None], []),
    ('type: "DummyData" top: "a" top: "b" dummy_data_param { num: 2 num: 3 channels: 4 height: 5 width: 6 }', [], [(2, 4, 5, 6), (3, 4, 5, 6)], []),
    ('type: "DummyData" dummy_data_param { shape { dim: 7 } data_filler { type: "uniform" } }', [], [(7,)], []),
    ('type: "Data" top: "a" top: "b" data_param { batch_size: 5 } transform_param { crop_size: 7 }', [], [(5, None, 7, 7), (5,)], []),
    ('type: "Data" data_param { batch_size: 5 } transform_param { mean_value: 1 mean_value: 2 mean_value: 3 }', [], [(5, 3, None, None)], []),
    ('type: "Data" data_param { batch_size: 5 crop_size: 9 } transform_param { mean_value: 1 }', [], [(5, None, None, None)], []),
    ('type: "ImageData" top: "a" top: "b" image_data_param { new_height: 8 new_width: 9 is_color: false }', [], [(1, 1, 8, 9), (1,)], []),
    ('type: "ImageData" top: "a" top: "b" image_data_param { batch_size: 4 } transform_param { crop_size: 7 }', [], [(4, 3, 7, 7), (4,)], []),
    ('type: "WindowData" top: "a" top: "b" window_data_param { batch_size: 4 } transform_param { crop_size: 7 }', [], [(4, None, 7, 7), (4,)], []),
    ('type: "MemoryData" top: "a" top: "b" memory_data_param { batch_size: 4 channels: 1 height: 2 width: 3 }', [], [(4, 1, 2, 3), (4,)], []),
    ('type: "HDF5Data" top: "a" top: "b" hdf5_data_param { batch_size: 4 }', [], [None, None], []),
    ('type: "Parameter" parameter_param { shape { dim: 2 dim: 3 } }', [], [(2, 3)], [(2, 3)]),
    ('type: "Python" top: "a" top: "b" param { name: "w" }', [IMAGE], [None, None], []),
]  # fmt: skip
