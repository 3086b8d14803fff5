"""Ways of MultiBoxLoss to choose among priors that no form of a model has."""

from filler_server.net.operations.detection import MultiBoxLoss


def foreign_mining(operation: MultiBoxLoss) -> str:
    """Return the options of an operation that belong to such a way, with commas between them; empty for none."""
    flags = ("map_object_to_agnostic", "ignore_cross_boundary_bbox", "bp_inside")
    foreign = [name for name in flags if getattr(operation, name)]
    if not operation.use_prior_for_matching:
        foreign.append("use_prior_for_matching: false")
    if operation.mining_type == "hard_example" or operation.nms_threshold is not None:
        foreign.append("mining by hard examples or after suppression")
    if operation.mining_type == "none" and operation.conf_loss_type == "logistic":
        foreign.append("LOGISTIC without mining")
    if operation.mining_type != "none" and not operation.share_location:
        foreign.append("mining without share_location")
    if operation.background_label_id != 0:
        foreign.append("another background than class 0")
    return ", ".join(foreign)
