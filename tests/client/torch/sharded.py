"""A model in every sharding, filled: prints the SHA-256 of each gathered parameter, by case, as JSON.

    python -m tests.client.torch.sharded [address of a server]

One process imports PyTorch and forks the worlds, so that this costs one start.
"""

import hashlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.distributed.tensor.placement_types import _StridedShard

import filler_client
from caffe_filler.errors import InvalidArgument
from filler_client import FillerClient
from filler_client.torch import FillerStorageReader, digest, fill_, fill_flat_, initialize_, rule_set

SEED = 1701
WORLDS = (1, 2, 3, 4)
RULES = [{"*.bias": "uniform"}, rule_set("transformer", depth=2)]
FILLER = 'type: "xavier" variance_norm: AVERAGE'
SHAPE = (13, 10)

Tensors = dict[str, torch.Tensor]


class Block(torch.nn.Module):
    """Widths of 10 and 14 are divided evenly by 2 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(10)
        self.fc1 = torch.nn.Linear(10, 14)
        self.fc2 = torch.nn.Linear(14, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fc2(torch.relu(self.fc1(self.norm(x))))


class Model(torch.nn.Module):
    """Two blocks between an embedding and a head with its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(11, 10, padding_idx=9)
        self.blocks = torch.nn.ModuleList([Block(), Block()])
        self.head = torch.nn.Linear(10, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


TP = {
    "embed": RowwiseParallel(input_layouts=Replicate()),
    "blocks.*.fc1": ColwiseParallel(),
    "blocks.*.fc2": RowwiseParallel(),
}


def absent(dtype: torch.dtype) -> Model:
    """A model on the device meta."""
    with torch.device("meta"):
        return Model().to(dtype)


def sharded(model: Model, mesh: Any, **options: Any) -> Model:
    """The model under FSDP2."""
    for block in model.blocks:
        fully_shard(block, mesh=mesh, **options)
    return fully_shard(model, mesh=mesh, **options)  # type: ignore[no-any-return]


def parallel(model: Model, mesh: Any) -> Model:
    """The model under tensor parallelism, with the tie that this undoes."""
    parallelize_module(model, mesh, TP)
    model.head.weight = model.embed.weight
    return model


def plain(dtype: torch.dtype) -> Model:
    return absent(dtype)


def fsdp(dtype: torch.dtype) -> Model:
    return sharded(absent(dtype), init_device_mesh("cpu", (dist.get_world_size(),)))


def offloaded(dtype: torch.dtype) -> Model:
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    return sharded(absent(dtype), mesh, offload_policy=CPUOffloadPolicy(pin_memory=False))


def tensor_parallel(dtype: torch.dtype) -> Model:
    return parallel(absent(dtype), init_device_mesh("cpu", (dist.get_world_size(),)))


def fsdp_and_tensor_parallel(dtype: torch.dtype) -> Model:
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    return sharded(parallel(absent(dtype), mesh["tp"]), mesh["dp"])


def hybrid(dtype: torch.dtype) -> Model:
    return sharded(absent(dtype), init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard")))


MODELS: dict[str, tuple[tuple[int, ...], Callable[[torch.dtype], Model]]] = {
    "plain": ((1,), plain),
    "FSDP2": (WORLDS, fsdp),
    "FSDP2, offloaded": ((2,), offloaded),
    "tensor parallel": ((2, 3, 4), tensor_parallel),
    "FSDP2 x tensor parallel": ((4,), fsdp_and_tensor_parallel),
    "HSDP": ((4,), hybrid),
}
"""By the name of a case the worlds in which it runs, and its model on the device meta."""

PLACEMENTS = {
    "Shard(0)": [Shard(0)],
    "Shard(1)": [Shard(1)],
    "Replicate": [Replicate()],
    "strided": [_StridedShard(0, split_factor=3)],
}
PLACEMENTS_2D = {
    "Shard(0), Shard(0)": [Shard(0), Shard(0)],
    "Shard(1), Shard(0)": [Shard(1), Shard(0)],
    "Shard(0), Replicate": [Shard(0), Replicate()],
    "strided, Shard(0)": [_StridedShard(0, split_factor=2), Shard(0)],
    "Shard(0), strided": [Shard(0), _StridedShard(0, split_factor=3)],
}


def gathered(tensors: Iterator[tuple[str, Any]]) -> Tensors:
    """Whole tensors, in every process."""
    return {name: (held.full_tensor() if isinstance(held, DTensor) else held).detach() for name, held in tensors}


def filled_models(client: FillerClient) -> Iterator[tuple[str, Tensors]]:
    """Every model of this world, filled by rules."""
    for case, (worlds, make) in MODELS.items():
        if dist.get_world_size() in worlds:
            for dtype in (torch.float32, torch.bfloat16):
                model = make(dtype)
                initialize_(model, RULES, seed=SEED, client=client, device="cpu")
                assert model.head.weight is model.embed.weight, case
                yield f"{case}, {dtype}", gathered(model.named_parameters())


def stages(client: FillerClient) -> Iterator[tuple[str, Tensors]]:
    """Two stages of a pipeline; the second numbers its blocks anew."""
    if dist.get_world_size() != 2:
        return
    for dtype in (torch.float32, torch.bfloat16):
        whole = absent(dtype)
        parts = (
            (torch.nn.ModuleDict({"embed": whole.embed, "blocks": whole.blocks[:1]}), ""),
            (torch.nn.ModuleDict({"0": whole.blocks[1]}), lambda name: f"blocks.1.{name[2:]}"),
        )
        module, prefix = parts[dist.get_rank()]
        report = initialize_(module, RULES, seed=SEED, client=client, device="cpu", name_prefix=prefix)
        held = dict(zip((entry.name for entry in report), module.parameters(), strict=True))
        everything: list[Tensors] = [{}, {}]
        dist.all_gather_object(everything, {name: tensor.detach() for name, tensor in held.items()})
        yield f"pipeline, {dtype}", {**everything[0], **everything[1]}


def loaded(client: FillerClient) -> Iterator[tuple[str, Tensors]]:
    """A state_dict that a checkpoint that is not there fills."""
    model = fsdp(torch.float32).to_empty(device="cpu")
    reader = FillerStorageReader(RULES, SEED, client=client, module=model)
    dcp.load(model.state_dict(), storage_reader=reader)
    yield "checkpoint, torch.float32", gathered(model.named_parameters())


def flat(client: FillerClient) -> Iterator[tuple[str, Tensors]]:
    """FSDP1, whose flat partitions have padding between parameters; and a plain module, by the same rules."""
    rules = {"*.bias": "uniform", "*": FILLER}
    plain = Block()
    initialize_(plain, rules, seed=SEED, client=client)
    yield "Block, plain", {f"block.{name}": tensor.detach() for name, tensor in plain.named_parameters()}
    module = FullyShardedDataParallel(Block(), use_orig_params=True, device_id=torch.device("cpu"))
    partition = module._handle.flat_param
    named = iter(zip(partition._fqns, partition._shapes, strict=True))
    lengths = zip(partition._numels_with_padding, partition._is_padding_mask, strict=True)
    parameters = [(None, (length,)) if is_padding else next(named) for length, is_padding in lengths]
    start = dist.get_rank() * partition.numel()
    fill_flat_(partition.data, parameters, rules, start=start, seed=SEED, client=client)
    with FullyShardedDataParallel.summon_full_params(module):
        tensors = {
            name.rpartition("_module.")[2]: tensor.detach().clone() for name, tensor in module.named_parameters()
        }
    yield "Block, FSDP1", {f"block.{name}": tensor for name, tensor in tensors.items()}


def placed(client: FillerClient) -> Iterator[tuple[str, Tensors]]:
    """One DTensor in many placements."""
    size = dist.get_world_size()
    one = init_device_mesh("cpu", (size,))
    cases = {f"{name} over {size}": (one, placements) for name, placements in PLACEMENTS.items()}
    if size == 4:
        two = init_device_mesh("cpu", (2, 2))
        cases.update({name: (two, placements) for name, placements in PLACEMENTS_2D.items()})
    for case, (mesh, placements) in cases.items():
        tensor = distribute_tensor(torch.full(SHAPE, torch.nan), mesh, placements, src_data_rank=None)
        fill_(tensor, FILLER, name="w", seed=SEED, client=client)
        whole = tensor.full_tensor()
        assert digest(tensor) == digest(whole) == filler_client.digest(whole.numpy()), case
        yield case, {"w": whole}
    with pytest.raises(InvalidArgument, match="Partial"):
        fill_(DTensor.from_local(torch.empty(SHAPE), one, [Partial()]), FILLER, name="w", seed=SEED)


def digests(tensors: Tensors) -> dict[str, str]:
    """SHA-256 of each tensor."""
    return {
        name: hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
        for name, tensor in sorted(tensors.items())
    }


def run(rank: int, size: int, store: str, out: Path, address: str | None) -> None:
    """All cases in one process of a world."""
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    clients = {"embedded": FillerClient.embedded()}
    if address is not None:
        clients["server"] = FillerClient(address)
    found: dict[str, dict[str, str]] = {}
    for where, client in clients.items():
        for cases in (filled_models, stages, loaded, flat, placed):
            for case, tensors in cases(client):
                found[f"{size} processes, {where}: {case}"] = digests(tensors)
    if rank == 0:
        out.write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def main(address: str | None = None) -> None:
    """Fork one world after the other."""
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in WORLDS:
            out = Path(folder) / f"{size}.json"
            children = []
            for rank in range(size):
                if (child := os.fork()) == 0:
                    try:
                        run(rank, size, f"{folder}/store{size}", out, address)
                    except BaseException:
                        import traceback

                        traceback.print_exc()
                        os._exit(1)
                    os._exit(0)
                children.append(child)
            failed = [child for child in children if os.waitpid(child, 0)[1]]
            if failed:
                sys.exit(f"{len(failed)} of {size} processes failed")
            found.update(json.loads(out.read_text()))
    print(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
