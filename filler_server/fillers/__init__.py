"""The seven fillers of Caffe, and the factory."""

from filler_server.fillers.base import Filler, Moments
from filler_server.fillers.factory import get_filler, register, registered

__all__ = ["Filler", "Moments", "get_filler", "register", "registered"]
