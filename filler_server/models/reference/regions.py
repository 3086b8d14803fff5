"""Operations over regions of interest."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from filler_server.models.graph import Node
from filler_server.models.reference import boxes
from filler_server.models.reference.combination import whole_numbers
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.net.operations import regions as operations


def _open_bins(operation: operations.ROIPooling, node: Node) -> str | None:
    return None if operation.pooled is not None and len(operation.pooled) == 2 else "it is not over height and width"


@computes(operations.ROIPooling, unless=_open_bins)
def roi_pooling(operation: operations.ROIPooling, layer: Layer) -> Array:
    """Return the largest value in each bin of a grid over each region, 0 for an empty one."""
    x, regions = layer.bottom, layer.bottoms[1].reshape(len(layer.bottoms[1]), 5)
    images = whole_numbers(regions[:, 0], len(x), "the image of a region")
    # Corners and edges of bins are rounded, as single precision has them.
    corners = _rounded(regions[:, 1:].astype(np.float32) * np.float32(operation.spatial_scale))
    bins = operation.pooled or ()
    top = np.zeros((len(regions), x.shape[1], *bins), x.dtype)
    for image, (left, upper, right, lower), result in zip(images, corners, top, strict=True):
        rows = _edges(upper, lower, bins[0], x.shape[2])
        columns = _edges(left, right, bins[1], x.shape[3])
        for row, (first, last) in enumerate(rows):
            if first < last:
                strip = x[image, :, first:last].max(1)
                for column, (begin, end) in enumerate(columns):
                    if begin < end:
                        result[:, row, column] = strip[:, begin:end].max(1)
    return top


@computes(operations.PSROIPooling)
def psroi_pooling(operation: operations.PSROIPooling, layer: Layer) -> Array:
    """Return averages in position-sensitive bins."""
    x, regions = layer.bottom, layer.bottoms[1].reshape(len(layer.bottoms[1]), 5)
    group = operation.group_size
    images = whole_numbers(regions[:, 0], len(x), "the image of a region")
    # Edges of bins are rounded, as single precision has them.
    corners = _rounded(regions[:, 1:].astype(np.float32)) + np.array([0, 0, 1, 1], np.float32)
    corners = corners * np.float32(operation.spatial_scale)
    maps = x.reshape(len(x), operation.output_dim, group, group, *x.shape[2:])
    top = np.zeros((len(regions), operation.output_dim, group, group), x.dtype)
    for image, (left, upper, right, lower), result in zip(images, corners, top, strict=True):
        rows = _sensitive_edges(upper, lower, group, x.shape[2])
        columns = _sensitive_edges(left, right, group, x.shape[3])
        for row, (first, last) in enumerate(rows):
            for column, (begin, end) in enumerate(columns):
                if first < last and begin < end:
                    result[:, row, column] = maps[image, :, row, column, first:last, begin:end].mean((1, 2))
    return top


def _other_proposals(operation: operations.Proposal, node: Node) -> str | None:
    if operation.score_thresh is not None:
        return "what score_thresh does is not known"
    if not operation.ratios or not operation.scales:
        return "it has no ratio or no scale"
    if len(node.bottoms) != 3:
        return "it has other bottoms than scores, offsets and the image's size"
    if min(operation.scales) < operation.base_size:
        return "its scales are below base_size, as in forks where they are multiples of it"
    return None


@computes(operations.Proposal, unless=_other_proposals)
def proposal(operation: operations.Proposal, layer: Layer) -> tuple[Array, ...]:
    """Return the best regions among anchors, and their scores."""
    scores, offsets, image = layer.bottoms
    if image.size < 4:
        raise InvalidArgument(f"the image is height, width and two scales. Received: {image.size} values")
    # Those of the first image count for all.
    height, width, *scales = image.reshape(-1)[:4]
    around = anchors(operation, scores.shape[-2:])
    regions, region_scores = [], []
    for index in range(len(scores)):
        # As [H, W, anchors, 4], the scores of the foreground after those of the background.
        moved = offsets[index].reshape(-1, 4, *scores.shape[-2:]).transpose(2, 3, 0, 1)
        found = _moved(around, moved).reshape(-1, 4)
        found = np.clip(found, 0, np.array([width - 1, height - 1] * 2)).astype(scores.dtype)
        sides = found[:, 2:] - found[:, :2] + 1
        large = (sides >= operation.min_size * np.array(scales[::-1])).all(1)
        own = np.where(large, scores[index, len(scores[index]) // 2 :].transpose(1, 2, 0).reshape(-1), 0)
        order = np.argsort(-own, kind="stable")[: operation.pre_nms_topn]
        best = order[boxes.kept(found[order], operation.nms_thresh, unit=1, most=operation.post_nms_topn)]
        regions.append(np.insert(found[best], 0, index, 1))
        region_scores.append(own[best])
    return np.concatenate(regions), np.concatenate(region_scores)


def anchors(operation: operations.Proposal, places: tuple[int, ...]) -> Array:
    """Return the anchors [H, W, anchors, 4]; scales are sides in pixels."""
    base = operation.base_size
    squares = [(sqrt(base * base / ratio), sqrt(base * base / ratio) * ratio) for ratio in operation.ratios]
    sides = [[int(side * scale / base - 0.5) for side in square] for square in squares for scale in operation.scales]
    half, center = np.array(sides) / 2, (base - 1) / 2
    rows, columns = (np.arange(number) * operation.feat_stride + center for number in places)
    centers = np.stack(np.meshgrid(columns, rows), -1)[:, :, None]
    return np.concatenate([centers - half, centers + half], -1)


def _moved(anchors: Array, offsets: Array) -> Array:
    """Return anchors moved and scaled as offsets say; sides count both of their ends."""
    size = anchors[..., 2:] - anchors[..., :2] + 1
    center = anchors[..., :2] + size / 2 + offsets[..., :2] * size
    half = np.exp(offsets[..., 2:]) * size / 2
    return np.concatenate([center - half, center + half], -1)


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values rounded half away from zero, as C's `round` does."""
    return np.trunc(values + np.copysign(np.float32(0.5), values))


def _edges(first: float, last: float, bins: int, extent: int) -> list[tuple[int, int]]:
    """Return where each bin of a region of whole places begins and ends, cut to the map."""
    size = np.float32(max(last - first + 1, 1)) / np.float32(bins)
    numbers = np.arange(bins, dtype=np.float32)
    return _cut(np.floor(numbers * size) + first, np.ceil((numbers + 1) * size) + first, extent)


def _sensitive_edges(first: float, last: float, bins: int, extent: int) -> list[tuple[int, int]]:
    """Return where each bin of a region begins and ends, cut to the map."""
    size = np.float32(max(last - first, 0.1)) / np.float32(bins)
    numbers = np.arange(bins, dtype=np.float32)
    return _cut(np.floor(numbers * size + first), np.ceil((numbers + 1) * size + first), extent)


def _cut(begins: Array, ends: Array, extent: int) -> list[tuple[int, int]]:
    begins, ends = (np.clip(edges, 0, extent).astype(int) for edges in (begins, ends))
    return list(zip(begins.tolist(), ends.tolist(), strict=True))
