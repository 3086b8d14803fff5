"""The seven fillers of Caffe and some of our own, and the factory."""

from filler_server.fillers.base import Filler
from filler_server.fillers.distributions import Distribution
from filler_server.fillers.factory import check_in_caffe, get_filler, register, registered

__all__ = ["Distribution", "Filler", "check_in_caffe", "get_filler", "register", "registered"]
