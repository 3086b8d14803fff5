"""Operations of SSD and of YOLO in Caffe."""

import math

import torch
from torch import Tensor, nn

from filler_server.models.torch.parts.boxes import kept


class PriorBox(nn.Module):
    """SSD's PriorBox: boxes around each place of a map, in units of the image, and their variances.

    Args:
        sides: width and height of each box in pixels.
        variances: four of them.
        image: height and width of the image; those of the second input if None.
        step: distance between places in pixels, down and across; the image by the map where None.
        offset: the center of a place, in units of the step.
        clip: whether boxes are cut to the image.
    """

    def __init__(
        self,
        sides: tuple[tuple[float, float], ...],
        variances: tuple[float, ...],
        image: tuple[int, int] | None = None,
        step: tuple[float | None, float | None] = (None, None),
        offset: float = 0.5,
        clip: bool = False,
    ) -> None:
        super().__init__()
        self.sides, self.variances, self.image = sides, variances, image
        self.step, self.offset, self.clip = step, offset, clip

    def forward(self, x: Tensor, image: Tensor | None = None) -> Tensor:
        """Return the boxes and their variances: [1, 2, H * W * boxes * 4]."""
        like = {"dtype": torch.promote_types(x.dtype, torch.float32), "device": x.device}
        size = self.image or (x if image is None else image).shape[2:]
        rows, columns = (
            (torch.arange(places, **like) + self.offset) * (step or extent / places)
            for places, step, extent in zip(x.shape[2:], self.step, size, strict=True)
        )
        down, across = torch.meshgrid(rows, columns, indexing="ij")
        centers = torch.stack([across, down], dim=-1)[:, :, None]
        half = torch.tensor(self.sides, **like) / 2
        whole = torch.tensor([size[1], size[0]], **like)
        boxes = torch.cat([(centers - half) / whole, (centers + half) / whole], dim=-1)
        boxes = boxes.clamp(0, 1) if self.clip else boxes
        variances = torch.tensor(self.variances, **like).expand_as(boxes)
        return torch.stack([boxes.flatten(), variances.flatten()])[None].to(x.dtype)


class DetectionOutput(nn.Module):
    """SSD's DetectionOutput: the boxes that are found, as rows (image, class, score, box).

    Args:
        num_classes: number of classes, the background among them.
        nms_threshold: overlap up to which two boxes of a class are kept.
        share_location: whether all classes share one offset.
        background_label_id: the class that is not a detection, -1 for none.
        code_type: how offsets are encoded: corner, center_size or corner_size.
        variance_encoded_in_target: whether offsets hold the variances already.
        keep_top_k: how many boxes of an image are kept over all classes, -1 for all.
        confidence_threshold: what a score must exceed; None: nothing.
        top_k: how many boxes of a class go into the comparison, -1 for all.
        eta: what the threshold is multiplied with after each box, while it is above 0.5.
    """

    def __init__(
        self,
        num_classes: int,
        nms_threshold: float,
        share_location: bool = True,
        background_label_id: int = 0,
        code_type: str = "corner",
        variance_encoded_in_target: bool = False,
        keep_top_k: int = -1,
        confidence_threshold: float | None = None,
        top_k: int = -1,
        eta: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_classes, self.nms_threshold, self.share_location = num_classes, nms_threshold, share_location
        self.labels = [label for label in range(num_classes) if label != background_label_id]
        self.code_type, self.variance_encoded_in_target = code_type, variance_encoded_in_target
        self.keep_top_k, self.confidence_threshold, self.top_k, self.eta = keep_top_k, confidence_threshold, top_k, eta

    def forward(self, offsets: Tensor, scores: Tensor, priors: Tensor) -> Tensor:
        """Return the detections [1, 1, found, 7]; one row of -1 for each image where there is none at all."""
        images, classes = len(offsets), len(self.labels)
        labels = torch.tensor(self.labels, device=scores.device)
        boxes, variances = priors.reshape(2, -1, 1, 4)
        offsets = offsets.reshape(images, len(boxes), -1, 4)
        boxes = decoded(boxes, offsets if self.variance_encoded_in_target else offsets * variances, self.code_type)
        boxes = boxes.expand(-1, -1, classes, -1) if self.share_location else boxes[:, :, labels]
        scores = scores.reshape(images, -1, self.num_classes)[:, :, labels].transpose(1, 2)
        # As lists of boxes, one for each class of each image, the best first.
        scores, order = scores.flatten(0, 1).sort(dim=1, descending=True, stable=True)
        number = scores.shape[1] if self.top_k < 0 else min(self.top_k, scores.shape[1])
        scores = scores[:, :number]
        boxes = chosen(boxes.transpose(1, 2).flatten(0, 1), order[:, :number])
        above = torch.ones_like(scores, dtype=torch.bool)
        if self.confidence_threshold is not None:
            above = scores > self.confidence_threshold
        # Of one class no more than all that are kept can be among these.
        most = number if self.keep_top_k < 0 else min(number, self.keep_top_k)
        places, found = kept(boxes, above, self.nms_threshold, most, eta=self.eta)
        scores, boxes = scores.gather(1, places), chosen(boxes, places)
        rows = torch.cat([scores[..., None], boxes], dim=2).unflatten(0, (images, classes))
        found = found.unflatten(0, (images, classes))
        if self.keep_top_k > -1:
            found = found & best(rows[..., 0], found, self.keep_top_k)
        image = torch.arange(images, device=scores.device)[:, None, None, None].expand(*rows.shape[:3], 1)
        label = labels[:, None, None].expand(*rows.shape[:3], 1)
        rows = torch.cat([image.to(rows.dtype), label.to(rows.dtype), rows], dim=3).flatten(0, 2)
        none = torch.full_like(rows[:1], -1).repeat(images, 1) if len(rows) else rows.new_full((images, 7), -1)
        none = torch.cat([torch.arange(images, device=rows.device)[:, None].to(rows.dtype), none[:, 1:]], dim=1)
        is_none = ~found.any()
        return torch.cat([rows, none])[torch.cat([found.flatten(), is_none.expand(images)])][None, None]


def decoded(priors: Tensor, offsets: Tensor, code_type: str) -> Tensor:
    """Return the boxes that offsets from priors make."""
    size = priors[..., 2:] - priors[..., :2]
    if code_type == "corner":
        return priors + offsets
    if code_type == "corner_size":
        return priors + offsets * torch.cat([size, size], dim=-1)
    center = (priors[..., :2] + priors[..., 2:]) / 2 + offsets[..., :2] * size
    half = offsets[..., 2:].exp() * size / 2
    return torch.cat([center - half, center + half], dim=-1)


def chosen(boxes: Tensor, places: Tensor) -> Tensor:
    """Return the boxes at some places of each list."""
    return boxes.gather(1, places[..., None].expand(-1, -1, 4))


def best(scores: Tensor, found: Tensor, number: int) -> Tensor:
    """Return which boxes are the best of all classes of an image; the scores are [images, classes, boxes]."""
    ranked = torch.where(found, scores, -math.inf).flatten(1).sort(dim=1, descending=True, stable=True).indices
    ranks = torch.arange(ranked.shape[1], device=scores.device).expand_as(ranked)
    return torch.zeros_like(ranked).scatter(1, ranked, ranks).view_as(scores) < number


def reorganized(x: Tensor, stride: int, reverse: bool = False) -> Tensor:
    """Reorg in darknet's order: places as channels, or the reverse."""
    number, channels, height, width = x.shape
    if reverse:
        blocks = x.reshape(number, stride, stride, -1, height, width).permute(0, 3, 4, 1, 5, 2)
        return blocks.reshape(number, -1, height * stride, width * stride)
    # The values are taken for those of fewer, larger channels first.
    blocks = x.reshape(number, -1, height, stride, width, stride).permute(0, 3, 5, 1, 2, 4)
    return blocks.reshape(number, channels * stride * stride, height // stride, width // stride)
