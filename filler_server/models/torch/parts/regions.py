"""Operations over regions of interest, rows (image, x1, y1, x2, y2)."""

from functools import reduce

import torch
from torch import Tensor, nn

from filler_server.models.torch.parts.boxes import kept


class ROIPooling(nn.Module):
    """Fast R-CNN's ROIPooling: the largest value in each bin of a grid over each region, 0 for an empty one.

    Args:
        pooled: number of bins, down and across.
        spatial_scale: size of the map by that of the image.
    """

    def __init__(self, pooled: tuple[int, int], spatial_scale: float) -> None:
        super().__init__()
        self.pooled, self.spatial_scale = pooled, spatial_scale

    def forward(self, x: Tensor, regions: Tensor) -> Tensor:
        """Return the pooled regions [R, C, rows, columns]."""
        # Edges of bins are rounded as single precision has them, whatever the type of the values.
        regions = regions.reshape(-1, 5)
        corners = rounded(regions[:, 1:].float() * self.spatial_scale)
        (top, bottom), (left, right) = (
            self.edges(corners[:, axis], corners[:, axis + 2], bins, extent)
            for axis, bins, extent in zip((1, 0), self.pooled, x.shape[2:], strict=True)
        )
        empty = (bottom <= top)[:, :, None] | (right <= left)[:, None, :]
        largest = largest_within(x, regions[:, 0].long(), (top, bottom), (left, right))
        return torch.where(empty[:, None], 0, largest)

    @staticmethod
    def edges(first: Tensor, last: Tensor, bins: int, extent: int) -> tuple[Tensor, Tensor]:
        """Return where the bins [R, bins] of regions begin and end, cut to the map."""
        size = ((last - first + 1).clamp(min=1) / bins)[:, None]
        number = torch.arange(bins, device=first.device, dtype=first.dtype)
        begins = torch.floor(number * size) + first[:, None]
        ends = torch.ceil((number + 1) * size) + first[:, None]
        return begins.clamp(0, extent).long(), ends.clamp(0, extent).long()


class PSROIPooling(nn.Module):
    """R-FCN's PSROIPooling: the average in each bin of each region, each bin from channels of its own.

    Args:
        output_dim: number of channels of the output.
        group_size: number of bins, down and across.
        spatial_scale: size of the map by that of the image.
    """

    def __init__(self, output_dim: int, group_size: int, spatial_scale: float) -> None:
        super().__init__()
        self.output_dim, self.group_size, self.spatial_scale = output_dim, group_size, spatial_scale

    def forward(self, x: Tensor, regions: Tensor) -> Tensor:
        """Return the pooled regions [R, output_dim, group_size, group_size]."""
        regions = regions.reshape(-1, 5)
        corners = rounded(regions[:, 1:].float())
        corners = torch.cat([corners[:, :2], corners[:, 2:] + 1], dim=1) * self.spatial_scale
        rows, columns = (
            self.bins(corners[:, axis], corners[:, axis + 2], extent).to(x.dtype)
            for axis, extent in ((1, x.shape[2]), (0, x.shape[3]))
        )
        maps = x.unflatten(1, (self.output_dim, self.group_size, self.group_size))
        sums = x.new_zeros(len(regions), self.output_dim, self.group_size, self.group_size)
        for image, one in enumerate(maps.unbind(0)):
            own = rows * (regions[:, 0] == image).to(x.dtype)[:, None, None]
            sums = sums + torch.einsum("rdijw,rjw->rdij", torch.einsum("rih,dijhw->rdijw", own, one), columns)
        areas = rows.sum(2)[:, None, :, None] * columns.sum(2)[:, None, None, :]
        return sums / areas.clamp(min=1)

    def bins(self, first: Tensor, last: Tensor, extent: int) -> Tensor:
        """Return which places of the map lie in each bin of each region [R, bins, extent]."""
        size = ((last - first).clamp(min=0.1) / self.group_size)[:, None]
        number = torch.arange(self.group_size, device=first.device, dtype=first.dtype)
        begins = torch.floor(number * size + first[:, None])[:, :, None]
        ends = torch.ceil((number + 1) * size + first[:, None])[:, :, None]
        place = torch.arange(extent, device=first.device)
        return (place >= begins) & (place < ends)


class Proposal(nn.Module):
    """Proposal of happynear/caffe-windows: the best regions among anchors, and their scores.

    Args:
        anchors: left, top, right and bottom of each anchor around the first place.
        feat_stride: distance between places in pixels.
        min_size: sides below this times the scale of the image do not count.
        pre_nms_topn: how many regions go into the comparison.
        post_nms_topn: how many are kept.
        nms_thresh: overlap up to which two regions are kept.
    """

    def __init__(
        self,
        anchors: tuple[tuple[float, ...], ...],
        feat_stride: int,
        min_size: int,
        pre_nms_topn: int,
        post_nms_topn: int,
        nms_thresh: float,
    ) -> None:
        super().__init__()
        self.anchors, self.feat_stride, self.min_size = anchors, feat_stride, min_size
        self.pre_nms_topn, self.post_nms_topn, self.nms_thresh = pre_nms_topn, post_nms_topn, nms_thresh

    def forward(self, scores: Tensor, offsets: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the regions [found, 5] and their scores [found]."""
        # Height and width of the first image, and its scales, count for all.
        height, width, *scales = image.flatten()[:4].unbind()
        places = (torch.arange(extent, device=offsets.device) * self.feat_stride for extent in scores.shape[2:])
        down, across = torch.meshgrid(*places, indexing="ij")
        corners = torch.stack([across, down, across, down], dim=-1)[:, :, None]
        anchors = corners + torch.tensor(self.anchors, dtype=offsets.dtype, device=offsets.device)
        size = anchors[..., 2:] - anchors[..., :2] + 1
        moved = offsets.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2)
        center = anchors[..., :2] + size / 2 + moved[..., :2] * size
        half = moved[..., 2:].exp() * size / 2
        limits = torch.stack([width, height] * 2) - 1
        boxes = torch.minimum(torch.cat([center - half, center + half], dim=-1).clamp(min=0), limits).flatten(1, 3)
        sides = boxes[..., 2:] - boxes[..., :2] + 1
        large = (sides >= self.min_size * torch.stack(scales[::-1])).all(-1)
        # The scores of the background come before those of the regions.
        own = scores.chunk(2, dim=1)[1].permute(0, 2, 3, 1).flatten(1)
        own, order = torch.where(large, own, 0).sort(dim=1, descending=True, stable=True)
        own, order = own[:, : self.pre_nms_topn], order[:, : self.pre_nms_topn]
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
        places, found = kept(
            boxes, torch.ones_like(own, dtype=torch.bool), self.nms_thresh, min(self.post_nms_topn, own.shape[1]), 1.0
        )
        number = torch.arange(len(scores), device=scores.device)[:, None, None].expand(*places.shape, 1)
        rows = torch.cat([number.to(boxes.dtype), boxes.gather(1, places[..., None].expand(-1, -1, 4))], dim=2)
        return rows[found], own.gather(1, places)[found]


def rounded(values: Tensor) -> Tensor:
    """Return values rounded half away from zero, as C's `round` does."""
    return torch.trunc(values + torch.copysign(torch.full_like(values, 0.5), values))


def largest_within(x: Tensor, images: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> Tensor:
    """Return the largest value in each cell of a grid for each region.

    The largest of 1, 2, 4, ... neighbors is worked out for all places first. Of any range it is then the larger one of
    the first and the last so many in it.

    Args:
        x: maps [N, C, H, W].
        images: the map of each region [R].
        rows: where each row of a grid begins and ends [R, rows]; what an empty one gives means nothing.
        columns: likewise [R, columns].
    """
    table = torch.stack([doubled(level, 3) for level in doubled(x, 2)]).permute(0, 1, 2, 4, 5, 3)
    # As [levels down, levels across, N, H, W, C].
    (level_y, first_y, last_y), (level_x, first_x, last_x) = (
        range_ends(begins, ends, extent) for (begins, ends), extent in ((rows, x.shape[2]), (columns, x.shape[3]))
    )
    levels = level_y[:, :, None], level_x[:, None, :], images[:, None, None]
    found = [table[*levels, y[:, :, None], x[:, None, :]] for y in (first_y, last_y) for x in (first_x, last_x)]
    return reduce(lambda largest, other: torch.where(other > largest, other, largest), found).permute(0, 3, 1, 2)


def doubled(x: Tensor, axis: int) -> Tensor:
    """Return for 1, 2, 4, ... the largest of so many neighbors from each place on, as far as there are some."""
    levels, step = [x], 1
    while step < x.shape[axis]:
        level = levels[-1]
        later = level.narrow(axis, step, x.shape[axis] - step)
        here = level.narrow(axis, 0, x.shape[axis] - step)
        last = level.narrow(axis, x.shape[axis] - step, step)
        levels.append(torch.cat([torch.where(later > here, later, here), last], dim=axis))
        step *= 2
    return torch.stack(levels)


def range_ends(begins: Tensor, ends: Tensor, extent: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the level of each range in a table of neighbors, and where it is read there."""
    lengths = (ends - begins).clamp(min=1)
    level = sum((lengths >= 2**power).long() for power in range(1, extent.bit_length())) + torch.zeros_like(lengths)
    first = begins.clamp(max=extent - 1)
    return level, first, (begins + lengths - 2**level).clamp(0, extent - 1)
