"""Fields that well-known forks of Caffe have and BVLC lacks, as far as shapes or learnable blobs depend on them.

Forks number their fields as they like, so a number in a binary file tells a field only together with the layer's type,
and only where every fork that has the type agrees on what is inside. What they disagree on has no number here: it is
read from text alone. (Compared: the caffe.proto of 45 forks, in every version.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from caffe_filler.wire import LEN, VARINT

Kind: TypeAlias = Literal["integer", "real", "bool", "word", "filler", "block"]


@dataclass(frozen=True, slots=True)
class ForkField:
    """A field: its name, what its values look like, and for a block what is inside."""

    name: str
    kind: Kind
    block: "ForkBlock | None" = None


@dataclass(frozen=True, slots=True)
class ForkBlock:
    """A block of fields.

    Attributes:
        names: the names of all its fields.
        numbers: those of its fields that all forks number alike, by their number.
        layers: the types of layers that have it.
        own_numbers: the numbers that the block itself has in such a layer, from fork to fork.
    """

    names: frozenset[str]
    numbers: Mapping[int, ForkField] = field(default_factory=dict)
    layers: frozenset[str] = frozenset()
    own_numbers: frozenset[int] = frozenset()


def _block(names: str, layers: str = "", own_numbers: tuple[int, ...] = (), **numbers: str) -> ForkBlock:
    """Return a block from the names of fields that have no number, and for each kind of field `name=number` ones."""
    fields = {
        int(number): ForkField(name, kind)
        for kind in ("integer", "real", "bool", "word", "filler")
        for name, _, number in (pair.partition("=") for pair in numbers.pop(kind, "").split())
    }
    all_names = {*names.split(), *(known.name for known in fields.values())}
    return ForkBlock(frozenset(all_names), fields, frozenset(layers.split()), frozenset(own_numbers))


_CONVOLUTION_3D = {
    "integer": "num_output=1 pad=3 kernel_size=4 group=5 kernel_depth=6 stride=7 temporal_stride=8 filter_group=11 "
    "temporal_pad=12",
    "bool": "bias_term=2",
    "filler": "weight_filler=9 bias_filler=10",
}
_MARGIN = {"integer": "num_output=1 axis=4 iteration=8", "word": "type=2", "filler": "weight_filler=3"}

BLOCKS: Mapping[str, ForkBlock] = {
    # SSD
    "permute_param": _block("", "Permute", (154, 202, 224, 239, 8266718), integer="order=1"),
    "prior_box_param": _block(
        "reduce_boxes width height",
        "PriorBox",
        (203, 212, 240, 8266719),
        real="min_size=1 max_size=2 aspect_ratio=3 variance=6 step=10 step_h=11 step_w=12 offset=13",
        bool="flip=4 clip=5",
        integer="img_size=7 img_h=8 img_w=9",
    ),
    "norm_param": _block(
        "",
        "Normalize",
        (204, 206, 242),
        bool="across_spatial=1 channel_shared=3",
        filler="scale_filler=2",
        real="eps=4",
    ),
    "normalize_param": _block("normalize_type fix_gradient bp_norm rescale"),
    "detection_output_param": _block(
        "nms_param save_output_param objectness_score input_width input_height normalized output_logits",
        "DetectionOutput",
        (204, 211, 238, 8266720),
        integer="num_classes=1 background_label_id=3 keep_top_k=7",
        bool="share_location=2 variance_encoded_in_target=8 visualize=10",
        word="code_type=6 save_file=12",
        real="confidence_threshold=9 visualize_threshold=11",
    ),
    "multibox_loss_param": _block(
        "loc_loss_type conf_loss_type loc_weight match_type overlap_threshold use_prior_for_matching "
        "background_label_id use_difficult_gt do_neg_mining neg_pos_ratio neg_overlap max_neg_overlap min_neg_overlap "
        "code_type encode_variance_in_target map_object_to_agnostic ignore_cross_boundary_bbox bp_inside mining_type "
        "nms_param sample_size use_prior_for_nms ignore_difficult_gt objectness_score normalize",
        "MultiBoxLoss",
        (201,),
        integer="num_classes=4",
        bool="share_location=5",
    ),
    "detection_evaluate_param": _block(
        "name_size_file resize_param output_logits",
        "DetectionEvaluate",
        (205,),
        integer="num_classes=1 background_label_id=2",
        real="overlap_threshold=3",
        bool="evaluate_difficult_gt=4",
    ),
    "annotated_data_param": _block(
        "batch_sampler label_map_file yolo_data_type yolo_data_jitter train_diffcult single_class seg_scales "
        "seg_resize_width seg_resize_height difficult_label_warmup",
        "AnnotatedData",
        (200,),
        word="anno_type=3",
    ),
    # R-CNN, R-FCN
    "roi_pooling_param": _block(
        "pooled_size n_rois pool engine",
        "ROIPooling",
        (150, 154, 208, 229, 8266711),
        integer="pooled_h=1 pooled_w=2",
        real="spatial_scale=3",
    ),
    "roi_align_param": _block("pooled_h pooled_w pooled_height pooled_width spatial_scale sampling_ratio bi_type"),
    "psroi_pooling_param": _block(
        "",
        "PSROIPooling",
        (149, 153, 207, 220, 225, 1241, 10001),
        real="spatial_scale=1",
        integer="output_dim=2 group_size=3",
    ),
    "psroi_align_param": _block(
        "", "PSROIAlign", (90000,), real="spatial_scale=1", integer="output_dim=2 group_size=3 sample_num=4"
    ),
    "proposal_param": _block(
        "",
        "Proposal",
        (201, 219, 224, 1231, 8266713),
        integer="feat_stride=1 base_size=2 min_size=3 pre_nms_topn=6 post_nms_topn=7",
        real="ratio=4 scale=5 nms_thresh=8 score_thresh=9",
    ),
    "box_annotator_ohem_param": _block("roi_per_img ignore_label"),
    "smooth_l1_loss_param": _block("sigma"),
    # Segmentation
    "bn_param": _block(
        "slope_filler bias_filler momentum eps frozen engine scale_filler shift_filler bn_mode var_eps decay "
        "moving_average axis use_global_stats moving_average_fraction across_spatial"
    ),
    "interp_param": _block(
        "interp_type mode use_blob_size",
        "Interp",
        (153, 163, 217, 301),
        integer="height=1 width=2 zoom_factor=3 shrink_factor=4 pad_beg=5 pad_end=6",
    ),
    "upsample_param": _block(
        "",
        "Upsample",
        (149, 150, 152),
        integer="scale=1 scale_h=2 scale_w=3 upsample_h=6 upsample_w=7",
        bool="pad_out_h=4 pad_out_w=5",
    ),
    "dense_image_data_param": _block(
        "source batch_size rand_skip shuffle new_height new_width is_color mean_file root_folder mirror crop_width "
        "crop_height rotate one_hot_nclasses"
    ),
    # YOLO, ShuffleNet
    "reorg_param": _block("", "Reorg", (149, 159), integer="stride=1", bool="reverse=2"),
    "eval_detection_param": _block("side num_class num_object threshold sqrt constriant score_type nms biases"),
    "shuffle_channel_param": _block("", "ShuffleChannel", (154, 164, 241), integer="group=1"),
    "relu6_param": _block("negative_slope engine"),
    # FlowNet
    "correlation_param": _block(
        "",
        "Correlation",
        (150,),
        integer="pad=2 kernel_size=3 max_displacement=4 stride_1=5 stride_2=6 single_direction=8",
        bool="do_abs=7",
        word="correlation_type=15",
    ),
    "resample_param": _block(
        "", "Resample", (155,), integer="width=1 height=2", word="type=3", bool="antialias=4", real="factor=5"
    ),
    "flow_warp_param": _block("fill_value"),
    "downsample_param": _block("", "Downsample", (156,), integer="top_height=1 top_width=2"),
    # C3D
    "convolution3d_param": _block("", "Convolution3D Deconvolution3D", (6661,), **_CONVOLUTION_3D),
    "pooling3d_param": _block(
        "kernel_l stride_l pad_l kernel_d kernel_h kernel_w stride_d stride_h stride_w pad_d0 pad_d1 pad_h0 pad_h1 "
        "pad_w0 pad_w1 ceil_mode global_pooling",
        "Pooling3D",
        (6662,),
        word="pool=1",
        integer="kernel_size=2 stride=3 pad=4 kernel_depth=5 temporal_stride=6",
    ),
    "tokenized_data_param": _block("input_type source batch_size block_size seed debug_index_file vocabulary_type"),
    "layer_norm_param": _block("epsilon enable_cuda_impl"),
    "bilinear_interpolation_param": _block("interpolation_factor"),
    "lstm_2d_param": _block(
        "num_output patch_height patch_width forget_gate_scaling_factor general_weight_filler general_bias_filler "
        "forget_gate_bias_filler"
    ),
    "video_data_param": _block(
        "video_type device_id video_file skip_frames source scale mean_file batch_size crop_size mirror rand_skip "
        "shuffle new_height new_width is_color new_length num_segments root_folder modality name_pattern show_data "
        "encoded use_image grayscale length_first use_temporal_jitter sampling_rate step max_sampling_rate rand_step "
        "use_sampling_rate_jitter use_multiple_label num_of_labels"
    ),
    # Sequences, matrices, losses with weights
    "lstm_param": _block(
        "width",
        "Lstm",
        (201,),
        integer="num_output=1 batch_size=5",
        real="clipping_threshold=2",
        filler="weight_filler=3 bias_filler=4",
    ),
    "transpose_param": _block("dim"),
    "reverse_param": _block("axis"),
    "flip_param": _block("flip_width flip_height"),
    "noise_param": _block("gaussian_std uniform_range bias"),
    "insanity_param": _block("lb ub"),
    "spatial_dropout_param": _block("dropout_ratio"),
    "continuation_indicator_param": _block("time_step axis batch_size"),
    "local_param": _block(
        "",
        "Local",
        (201, 204),
        integer="num_output=1 pad=3 kernel_size=4 stride=6",
        bool="bias_term=2",
        filler="weight_filler=7 bias_filler=8",
    ),
    "cccp_param": _block("num_output bias_term group weight_filler bias_filler"),
    "center_loss_param": _block(
        "distance_type", "CenterLoss", (211, 221, 248), integer="num_output=1 axis=3", filler="center_filler=2"
    ),
    "margin_inner_product_param": _block("base gamma power lambda_min", "MarginInnerProduct", (232, 247), **_MARGIN),
    "largemargin_inner_product_param": _block(
        "base gamma power lambda_min", "LargeMarginInnerProduct", (202, 227), **_MARGIN
    ),
    "randvec_param": _block("batch_size dim lower upper height width"),
    "st_param": _block(
        "transform_type sampler_type output_H output_W to_compute_dU theta_1_1 theta_1_2 theta_1_3 theta_2_1 theta_2_2 "
        "theta_2_3"
    ),
    "detectnet_groundtruth_param": _block(
        "stride scale_cvg gridbox_type max_cvg_len min_cvg_len coverage_type image_size_x image_size_y crop_size_x "
        "crop_size_y obj_norm crop_bboxes object_class"
    ),
    "cos_data_param": _block("source batch_size top dataframe_column_select"),
    "image_label_data_param": _block(
        "image_list_path label_list_path batch_size rand_skip shuffle rand_scale scale_prob min_scale scale_min "
        "max_scale scale_max data_dir label_slice image_dir label_dir padding image_dir2 image_list_path2 threads "
        "size_min size_max check_image_files backend"
    ),
    "cpmdata_param": _block(
        "source scale mean_file batch_size crop_size mirror rand_skip backend force_encoded_color prefetch lbl_source"
    ),
}
"""Blocks that BVLC's LayerParameter does not have, by name."""

_RESIZE = _block(
    "prob pad_mode pad_value interp_mode height_scale width_scale", integer="resize_mode=2 height=3 width=4"
)
_MORE_FIELDS: Mapping[tuple[str, int, int], ForkField] = {
    ("BatchNormParameter", 5, LEN): ForkField("scale_filler", "filler"),
    ("BatchNormParameter", 6, LEN): ForkField("bias_filler", "filler"),
    ("BatchNormParameter", 7, VARINT): ForkField("scale_bias", "bool"),
    ("TransformationParameter", 208, LEN): ForkField("resize_param", "block", _RESIZE),
    ("TransformationParameter", 211, VARINT): ForkField("crop_h", "integer"),
    ("TransformationParameter", 212, VARINT): ForkField("crop_w", "integer"),
}
"""Further fields of messages that BVLC has, by message, number and wire type (NVIDIA's, SSD's)."""


def fork_field(message: str, layer: str, number: int, wire_type: int) -> ForkField | None:
    """Return the field that a number, which BVLC does not have, must mean in a message of a layer of this type."""
    if message == "LayerParameter" and wire_type == LEN:
        for name, block in BLOCKS.items():
            if layer in block.layers and number in block.own_numbers:
                return ForkField(name, "block", block)
    return _MORE_FIELDS.get((message, number, wire_type))
