"""The types of layers that BVLC and its forks have, under their names in the current format."""

_BVLC = """
AbsVal Accuracy ArgMax BNLL BatchNorm BatchReindex Bias Clip Concat ContrastiveLoss Convolution Crop Data
Deconvolution Dropout DummyData ELU Eltwise Embed EuclideanLoss Exp Filter Flatten HDF5Data HDF5Output HingeLoss
Im2col ImageData InfogainLoss InnerProduct Input LRN LSTM LSTMUnit Log MVN MemoryData MultinomialLogisticLoss PReLU
Parameter Pooling Power Python RNN ReLU Reduction Reshape SPP Scale Sigmoid SigmoidCrossEntropyLoss Silence Slice
Softmax SoftmaxWithLoss Split Swish TanH Threshold Tile WindowData
"""
_FORKS = """
AccuracyDistance AnnotatedData Axpy BN BilinearInterpolation Blackhole BoxAnnotatorOHEM BoxData BroadcastMul CCCP
CPMData CReLU CTCLoss CenterLoss ChannelNorm CoSData ContinuationIndicator Convolution3D ConvolutionClustered
ConvolutionDepthwise ConvolutionMasked ConvolutionQuantized ConvolutionSK ConvolutionSaliency Correlation CtcLoss
CudnnNdConvolution CudnnNdPooling DataRandTransform Deconvolution3D DenseImageData DepthwiseConvolution
DetectNetTransformation DetectionEvaluate DetectionOutput DetectionOutputExtended DetectionPoseOutput DiceLoss
Downsample EltwiseAffine EvalDetection Flip FloatData FlowWarp FocalLoss GRN Gather GaussianYolov3 Grid1Loss
HoleConvolution ImageLabelData ImageSegData ImageSegUniformSizeData Insanity Interp L1Loss L2Normalize LSTM_2D
LabelSpecificAdd LargeMarginInnerProduct LayerNorm Local LpqLoss Lstm LstmReshape MarginInnerProduct MultiBoxLoss
MultiStageMeanfield NVLoss NdConvolution NdPooling NegReLU Nms Noise Normalize PSROIAlign PSROIPooling ParseEvaluate
ParseOutput Permute Pooling3D PoolingSK PriorBox PriorBoxClustered Proposal RBMReturn ROIAlign ROIPooling RPN RReLU
RandVec RankHardLoss ReLU6 Recurrent Region RegionLoss Reorg Resample Reverse ScaleFilter Scatter SeLu SeLuDropout
SegAccuracy ShuffleChannel SignedPower SignedSqrt SmoothL1Loss SmoothL1LossOHEM SoftmaxWithLossOHEM SpatialDropout
SpatialTransformer SyncBN Tiling TokenizedData TransformerConvolution Transpose TripletLoss UnPooling Upsample
VideoData WeightedEuclideanLoss YoloDetectionOutput YoloSeg Yolov3 Yolov3DetectionOutput
YuvToNormalizedGray YuvToRgb
"""
TYPES = frozenset((_BVLC + _FORKS).split())
"""A V1 file calls them in capitals: `ROI_POOLING` for `ROIPooling`."""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


_BY_V1_NAME = {_plain(name): name for name in sorted(TYPES, reverse=True)}


def current_type(v1_name: str) -> str:
    """Return the name in the current format of a type that a fork's V1 format has; an unknown one stays as it is."""
    return v1_name if v1_name in TYPES else _BY_V1_NAME.get(_plain(v1_name), v1_name)
