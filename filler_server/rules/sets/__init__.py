"""Ready-made rules: what the modules of PyTorch do by default, the fillers of a net, those of transformers."""

from pathlib import Path

from filler_server.rules.reading import read_rules
from filler_server.rules.rules import Rules
from filler_server.rules.sets.caffe import caffe
from filler_server.rules.sets.transformer import transformer, transformer_of

__all__ = ["SETS", "caffe", "torch", "transformer", "transformer_of"]

SETS = ("torch", "caffe", "transformer")
"""Their names."""


def torch() -> Rules:
    """Return what the modules of torch.nn do by default, in distribution; `torch.prototxt` beside this says it."""
    return read_rules((Path(__file__).parent / "torch.prototxt").read_bytes())
