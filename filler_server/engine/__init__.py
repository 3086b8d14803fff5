"""Plan and stream to bytes: the one way to generate any region of any blob."""

from filler_server.engine.net import net_sources
from filler_server.engine.region import Region
from filler_server.engine.source import BlobSource, FilledBlob, GivenBlob

__all__ = ["BlobSource", "FilledBlob", "GivenBlob", "Region", "net_sources"]
