"""Nets and solvers of all ages to the current format, as Caffe does it (caffe/util/upgrade_proto.cpp).

One module for each step. What Caffe complains of and goes on, is reported; what it dies of, is an error.
"""

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from filler_server.prototxt.upgrade.batch_norm import learns_statistics, upgrade_batch_norm
from filler_server.prototxt.upgrade.data_transformation import upgrade_data_transformation
from filler_server.prototxt.upgrade.draft import LayerSource, NetDraft
from filler_server.prototxt.upgrade.input_fields import upgrade_input_fields
from filler_server.prototxt.upgrade.solver_type import upgrade_solver_type
from filler_server.prototxt.upgrade.v0 import is_v0, upgrade_v0
from filler_server.prototxt.upgrade.v1 import upgrade_v1

__all__ = ["LayerSource", "NetDraft", "needs_upgrade", "upgrade_net", "upgrade_solver_type"]


def upgrade_net(draft: NetDraft) -> None:
    """Bring a net to the current format, by the steps it needs and in Caffe's order (`UpgradeNetAsNeeded`).

    Raises:
        PrototxtError: Caffe refuses to upgrade it.
    """
    try:
        _upgrade_net(draft)
    except FillerError as error:
        raise error.after(draft.problems.all()) from None


def _upgrade_net(draft: NetDraft) -> None:
    from_v0 = is_v0(draft.net)
    if from_v0:
        upgrade_v0(draft)
    upgrade_data_transformation(draft)
    if draft.net.layers:
        upgrade_v1(draft, from_v0=from_v0)
    if draft.net.input:
        upgrade_input_fields(draft)
    upgrade_batch_norm(draft)


def needs_upgrade(net: caffe_pb2.NetParameter) -> bool:
    """Whether `upgrade_net` would change a net.

    Caffe's `NetNeedsUpgrade`, but that it goes on asking for BatchNorm layers that are upgraded already.
    """
    return bool(net.layers or net.input) or any(map(learns_statistics, net.layer))
