"""The loss of SSD."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from filler_server.models.torch.parts.boxes import overlaps
from filler_server.models.torch.parts.losses import at_least


class MultiBoxLoss(nn.Module):
    """SSD's MultiBoxLoss: of offsets at matched priors, and of confidences there and at the hardest others.

    Which priors count depends on the values, so that torch.export cannot take it.

    Args:
        num_classes: number of classes, the background, which is class 0, among them.
        share_location: whether all classes share one offset.
        loc_loss_type: smooth_l1 or l2.
        conf_loss_type: softmax or logistic.
        loc_weight: weight of the loss of offsets.
        match_type: per_prediction or bipartite.
        overlap_threshold: overlap from which on a prior is matched.
        use_difficult_gt: whether ground truth that is marked as difficult counts.
        mining: whether of the priors without a match only the hardest count.
        neg_pos_ratio: how many of these there are for each match.
        neg_overlap: overlap with any ground truth below which they must be.
        code_type: how offsets are encoded: corner, center_size or corner_size.
        encode_variance_in_target: whether predictions are divided by the variances, too.
        normalization: full, valid, batch_size or none.
    """

    def __init__(
        self,
        num_classes: int,
        share_location: bool = True,
        loc_loss_type: str = "smooth_l1",
        conf_loss_type: str = "softmax",
        loc_weight: float = 1.0,
        match_type: str = "per_prediction",
        overlap_threshold: float = 0.5,
        use_difficult_gt: bool = True,
        mining: bool = True,
        neg_pos_ratio: float = 3.0,
        neg_overlap: float = 0.5,
        code_type: str = "corner",
        encode_variance_in_target: bool = False,
        normalization: str = "valid",
    ) -> None:
        super().__init__()
        self.num_classes, self.share_location, self.loc_weight = num_classes, share_location, loc_weight
        self.loc_loss_type, self.conf_loss_type = loc_loss_type, conf_loss_type
        self.match_type, self.overlap_threshold, self.use_difficult_gt = match_type, overlap_threshold, use_difficult_gt
        self.mining, self.neg_pos_ratio, self.neg_overlap = mining, neg_pos_ratio, neg_overlap
        self.code_type, self.encode_variance_in_target = code_type, encode_variance_in_target
        self.normalization = normalization

    def forward(self, offsets: Tensor, scores: Tensor, priors: Tensor, truth: Tensor) -> Tensor:
        """Return the loss; ground truth is rows (image, class, instance, box, difficult), image -1 for none."""
        images = len(offsets)
        priors, variances = priors.reshape(2, -1, 4)
        offsets = offsets.reshape(images, len(priors), -1, 4)
        scores = scores.reshape(images, len(priors), self.num_classes)
        truth = truth.reshape(-1, 8)
        truth = truth[(truth[:, 0] != -1) & (self.use_difficult_gt | (truth[:, 7] == 0))]
        total, found = offsets.new_zeros(()), 0
        for image in range(images):
            own = truth[truth[:, 0] == image]
            matched, overlap = self.matches(priors, own[:, 3:7])
            positive = (matched > -1).nonzero()[:, 0]
            classes = torch.zeros_like(matched)
            classes[positive] = own[matched[positive], 1].long()
            column = 0 if self.share_location else classes[positive]
            chosen = offsets[image, positive, column]
            target = encoded(priors[positive], own[matched[positive], 3:7], self.code_type) / variances[positive]
            if self.encode_variance_in_target:
                # The gradient of Caffe does not see this division.
                chosen = chosen + (chosen / variances[positive] - chosen).detach()
            total = total + self.loc_weight * self.distance(chosen - target)
            found += len(positive)
            losses = self.confidence_losses(scores[image], classes)
            if not self.mining:
                total = total + losses.sum()
            elif len(own):
                total = total + losses[positive].sum() + losses[self.hardest(losses, matched, overlap)].sum()
        divisors = {"full": images * len(priors), "valid": found, "batch_size": images, "none": 1}
        return total / max(divisors[self.normalization], 1)

    def matches(self, priors: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return for each prior the ground truth that it is matched with, -1 for none, and how much it overlaps any."""
        matched = torch.full((len(priors),), -1, device=priors.device)
        if not len(truth):
            return matched, torch.zeros_like(priors[:, 0])
        shared = overlaps(priors[:, None], truth[None])
        shared = torch.where(shared > 1e-6, shared, 0)
        # Each ground truth takes the prior that it overlaps most, the best pair first.
        left = shared.clone()
        for _ in range(len(truth)):
            prior, other = divmod(int(left.argmax()), len(truth))
            if left[prior, other] == 0:
                break
            matched[prior] = other
            left[prior], left[:, other] = 0, 0
        most, best = shared.max(1)
        if self.match_type == "per_prediction":
            free = (matched == -1) & (most >= self.overlap_threshold) & (most > 0)
            matched = torch.where(free, best, matched)
        return matched, most

    def hardest(self, losses: Tensor, matched: Tensor, overlap: Tensor) -> Tensor:
        """Return the priors without a match whose losses are the largest."""
        candidates = ((matched == -1) & (overlap < self.neg_overlap)).nonzero()[:, 0]
        number = min(int(int((matched > -1).sum()) * self.neg_pos_ratio), len(candidates))
        return candidates[losses[candidates].sort(descending=True, stable=True).indices[:number]]

    def distance(self, difference: Tensor) -> Tensor:
        """Return the sum of half the squares, or of smooth L1 distances."""
        half, far = 0.5 * difference.square(), difference.abs()
        return (half if self.loc_loss_type == "l2" else torch.where(far < 1, half, far - 0.5)).sum()

    def confidence_losses(self, scores: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of the confidences of each prior for its class."""
        if self.conf_loss_type == "softmax":
            chances = scores.log_softmax(1).gather(1, classes[:, None])[:, 0]
            return -at_least(chances, math.log(torch.finfo(torch.float32).tiny))
        targets = F.one_hot(classes, self.num_classes).to(scores.dtype)
        return F.binary_cross_entropy_with_logits(scores, targets, reduction="none").sum(1)


def encoded(priors: Tensor, boxes: Tensor, code_type: str) -> Tensor:
    """Return the offsets from priors that make boxes."""
    size = priors[..., 2:] - priors[..., :2]
    if code_type == "corner":
        return boxes - priors
    if code_type == "corner_size":
        return (boxes - priors) / torch.cat([size, size], dim=-1)
    moved = (boxes[..., :2] + boxes[..., 2:] - priors[..., :2] - priors[..., 2:]) / 2 / size
    return torch.cat([moved, ((boxes[..., 2:] - boxes[..., :2]) / size).log()], dim=-1)
