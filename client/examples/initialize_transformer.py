"""A transformer, from a bare module to a filled FSDP2 module in five lines; it has the same weights on any cluster.

pip install 'caffe-filler[server,torch]'
torchrun --nproc-per-node 2 initialize_transformer.py
"""

import hashlib
import math

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard

from filler_client.torch import initialize_, rule_set


class Transformer(nn.Module):
    """A small one, with the weight of the embedding in its head."""

    def __init__(self, words: int = 1000, width: int = 64, depth: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits of the words at each place."""
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


dist.init_process_group("gloo")

# From the bare module to the filled one.
with torch.device("meta"):
    model = Transformer()
fully_shard(list(model.layers))
fully_shard(model)
report = initialize_(model, rule_set("transformer", depth=4), seed=1701, device="cpu")

gathered = {name: parameter.full_tensor() for name, parameter in model.named_parameters()}
if dist.get_rank() == 0:
    print(report)
    digest = hashlib.sha256(b"".join(tensor.detach().numpy().tobytes() for tensor in gathered.values()))
    print(f"{dist.get_world_size()} processes, SHA-256 of all parameters: {digest.hexdigest()}")

tokens = torch.arange(200).reshape(20, 10)
loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
loss.backward()
print(f"process {dist.get_rank()}: the first loss is {loss.item():.3f}, that of a guess {math.log(1000):.3f}")
dist.barrier()
dist.destroy_process_group()
