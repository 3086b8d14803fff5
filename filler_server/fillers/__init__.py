"""The seven fillers of Caffe, and the factory."""

from filler_server.fillers.base import Filler
from filler_server.fillers.distributions import Distribution
from filler_server.fillers.factory import get_filler, register, registered

__all__ = ["Distribution", "Filler", "get_filler", "register", "registered"]
