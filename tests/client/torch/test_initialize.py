"""Modules that are filled by rules in one process."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from caffe_filler.errors import FillerParameterError, InvalidArgument, NotFound, PrototxtError
from caffe_filler.v1.rules_pb2 import InitRules
from filler_client import FillerClient
from tests.processes import ServerProcess

pytestmark = pytest.mark.frameworks
torch = pytest.importorskip("torch")

from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402 - it needs PyTorch
from torch.testing._internal.two_tensor import TwoTensor  # noqa: E402

from filler_client.torch import InitReport, digest, initialize_, lint, rule_set  # noqa: E402

SEED = 1701
RULES = {"*.bias": "constant", "*norm.weight": 'type: "constant" value: 1', "*": "xavier"}


class Block(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.fc1 = torch.nn.Linear(width, 4 * width)
        self.fc2 = torch.nn.Linear(4 * width, width)


class Model(torch.nn.Module):
    """A model with tied weights and a buffer."""

    def __init__(self, width: int = 16, blocks: int = 3) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(40, width)
        self.blocks = torch.nn.ModuleList(Block(width) for _ in range(blocks))
        self.head = torch.nn.Linear(width, 40, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("mask", torch.arange(5))


def values(module: Any) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in module.named_parameters()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_values_are_those_of_the_client_and_memory_stays_where_it_is() -> None:
    model = Model()
    memory = {name: tensor.data_ptr() for name, tensor in model.named_parameters()}
    versions = {name: tensor._version for name, tensor in model.named_parameters()}
    report = initialize_(model, RULES, seed=SEED)
    client = FillerClient.embedded()
    for name, tensor in model.named_parameters():
        filler = report[name].filler if "norm" not in name else RULES.get("*" + name[-11:], "constant")
        wanted = client.fill(filler, tuple(tensor.shape), name=name, seed=SEED)
        assert (tensor.detach().numpy() == wanted).all(), name
        assert tensor.data_ptr() == memory[name]
        assert tensor.requires_grad
        assert tensor._version > versions[name]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_every_data_type_is_that_of_the_client(dtype: str) -> None:
    module = torch.nn.Linear(7, 5).to(getattr(torch, dtype))
    initialize_(module, {"*": "xavier"}, seed=SEED, name_prefix="m")
    wanted = FillerClient.embedded().fill("xavier", (5, 7), name="m.weight", seed=SEED, dtype=dtype)
    held = module.weight.detach()
    bits = held.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if dtype == "bfloat16" else held.numpy()
    assert bits.tobytes() == wanted.tobytes()


def test_mixed_data_types_and_strides_are_filled_by_name() -> None:
    plain, mixed = Model(), Model()
    mixed.blocks[1].half()
    mixed.blocks[2].fc1.weight = torch.nn.Parameter(torch.empty(16, 64).t())
    initialize_(plain, RULES, seed=SEED)
    initialize_(mixed, RULES, seed=SEED)
    assert not mixed.blocks[2].fc1.weight.is_contiguous()
    for (name, one), other in zip(plain.named_parameters(), mixed.parameters(), strict=True):
        assert torch.equal(one.to(other.dtype), other), name
    images = torch.nn.Conv2d(6, 8, 3).to(memory_format=torch.channels_last)
    straight = torch.nn.Conv2d(6, 8, 3)
    for module in (images, straight):
        initialize_(module, "torch", seed=SEED)
    assert torch.equal(images.weight, straight.weight)


def test_parameters_of_one_shape_differ() -> None:
    model = Model()
    initialize_(model, RULES, seed=SEED)
    weights = [block.fc1.weight for block in model.blocks]
    assert not any(torch.equal(one, other) for one in weights for other in weights if one is not other)
    before = values(model)
    initialize_(model, RULES, seed=SEED + 1)
    assert not torch.equal(before["blocks.0.fc1.weight"], model.blocks[0].fc1.weight)


def test_tied_parameters_are_filled_once_and_stay_tied() -> None:
    model = Model()
    report = initialize_(model, {"head.*": "constant", **RULES}, seed=SEED)
    assert model.head.weight is model.embed.weight
    assert (report["embed.weight"].status, report["embed.weight"].filler) == ("filled", "xavier")
    assert (report["head.weight"].status, report["head.weight"].tied_to) == ("tied", "embed.weight")
    # The same memory under two parameters is one, too.
    model.head.weight = torch.nn.Parameter(model.embed.weight.detach())
    assert initialize_(model, RULES, seed=SEED)["head.weight"].status == "tied"


def test_modules_that_hang_twice_in_one_are_listed_under_both_names() -> None:
    module = torch.nn.ModuleDict({"a": (shared := torch.nn.Linear(3, 2)), "b": shared, "c": torch.nn.Linear(3, 2)})
    report = initialize_(module, RULES, seed=SEED)
    assert [entry.name for entry in report] == ["a.weight", "b.weight", "a.bias", "b.bias", "c.weight", "c.bias"]
    assert {entry.name for entry in report if entry.status == "tied"} == {"b.weight", "b.bias"}


def test_tensors_that_begin_alike_are_told_apart() -> None:
    memory = torch.arange(12.0)
    model = torch.nn.Module()
    for name, view in {"a": memory.view(3, 4), "b": memory.view(4, 3), "c": memory[:0], "d": memory[:0]}.items():
        model.register_buffer(name, view)
    model.e = torch.nn.Parameter(memory.view(4, 3))
    model.f = torch.nn.Parameter(memory.view(3, 4))
    report = initialize_(model, {"g": "xavier"}, seed=SEED, strict=False)
    assert [entry.name for entry in report] == ["e", "b", "f", "a", "c", "d"]
    assert [entry.shape for entry in report][:4] == [(4, 3), (4, 3), (3, 4), (3, 4)]
    with pytest.raises(InvalidArgument, match="'e' and 'f' overlap"):
        initialize_(model, {"*": "xavier"}, seed=SEED)


def test_memory_that_overlaps_otherwise_is_refused() -> None:
    model = Model()
    model.head.weight = torch.nn.Parameter(model.embed.weight.detach()[1:])
    with pytest.raises(InvalidArgument, match="each blob needs memory of its own"):
        initialize_(model, RULES, seed=SEED)


class Views(torch.nn.Module):
    """Parameters that are views of one memory."""

    def __init__(self, *views: Any) -> None:
        super().__init__()
        self.views = torch.nn.ParameterList(torch.nn.Parameter(view) for view in views)


@pytest.mark.parametrize(
    "cut",
    [
        lambda a: (a, a.T),
        lambda a: (a.T, a[:, :3]),
        lambda a: (a[:, :4], a[:, 3:]),
        lambda a: (a.T[1:], a[0]),
        lambda a: (a[::2], a[:, 1:2]),
        lambda a: (a[:, :2], a[:, 2:4], a[5:, 3:]),
    ],
)
def test_views_that_overlap_are_refused(cut: Any) -> None:
    memory = torch.zeros(6, 6)
    with pytest.raises(InvalidArgument, match=r"'views\.\d' and 'views\.\d' overlap"):
        initialize_(Views(*cut(memory)), {"*": "gaussian"}, seed=SEED)
    assert not memory.any()


@pytest.mark.parametrize(
    "cut",
    [
        lambda a: (a[:, ::2], a[:, 1::2]),
        lambda a: (a[:, 3:], a[:, :3]),
        lambda a: (a[:, :3].T, a[:, 3:].view(torch.bfloat16)),
        lambda a: tuple(a[:, column] for column in range(6)),
    ],
)
def test_views_that_lie_between_each_other_are_filled(cut: Any) -> None:
    module = Views(*cut(torch.zeros(6, 6)))
    initialize_(module, {"*": "gaussian"}, seed=SEED)
    for name, held in values(module).items():
        dtype = str(held.dtype).removeprefix("torch.")
        wanted = FillerClient.embedded().fill("gaussian", tuple(held.shape), name=name, seed=SEED, dtype=dtype)
        assert (held.float().numpy() == wanted.astype(np.float32)).all()


def test_an_unmatched_parameter_is_an_error_before_anything_is_written() -> None:
    model = Model()
    before = values(model)
    with pytest.raises(InvalidArgument, match=r"no rule fits parameter 'blocks.0.norm.weight', .*strict=False"):
        initialize_(model, {"*.bias": "constant", "*fc?.weight": "xavier", "embed.*": "msra"}, seed=SEED)
    assert same(before, values(model))
    report = initialize_(model, {"*fc?.weight": "xavier"}, seed=SEED, strict=False)
    assert [entry.name for entry in report.not_filled][:2] == ["embed.weight", "head.weight"]
    assert torch.equal(before["embed.weight"], model.embed.weight)
    assert "parameters that no rule fits" in str(report)


def test_a_filler_that_does_not_fit_is_an_error_before_anything_is_written() -> None:
    model = Model()
    before = values(model)
    with pytest.raises(FillerParameterError, match=r"parameter 'blocks\.2\.fc2\.weight', rule 1"):
        initialize_(model, {"blocks.2.fc2.weight": 'type: "gaussian" sparse: 99', "*": "xavier"}, seed=SEED)
    assert same(before, values(model))


def test_a_module_on_the_device_meta_is_made_on_the_device_named() -> None:
    model = Model()
    initialize_(model, RULES, seed=SEED)
    with torch.device("meta"):
        absent = Model()
    for device in (None, "meta"):
        with pytest.raises(InvalidArgument, match=r"'embed\.weight' is on the device meta; device='cpu'"):
            initialize_(absent, {**RULES, "mask": "constant"}, seed=SEED, device=device)
    with pytest.raises(InvalidArgument, match="buffer 'mask' on the device meta would hold whatever was in memory"):
        initialize_(absent, RULES, seed=SEED, device="cpu")
    assert absent.embed.weight.is_meta
    report = initialize_(absent, {**RULES, "mask": 'type: "constant" value: 3'}, seed=SEED, device="cpu")
    assert same(values(model), values(absent))
    assert absent.head.weight is absent.embed.weight
    assert (absent.mask == 3).all()
    assert report["mask"].status == "filled"


def test_gradients_on_the_device_meta_become_zeros() -> None:
    # Memory that is had again afterwards.
    kept = [torch.full((64, 64), 3.0) for _ in range(50)]
    with torch.device("meta"):
        module = torch.nn.Linear(64, 64)
        module(torch.empty(2, 64)).sum().backward()
    kept.clear()
    initialize_(module, RULES, seed=SEED, device="cpu")
    assert all(held.grad.eq(0).all() for held in module.parameters())


def test_what_has_values_is_kept_when_the_rest_is_made() -> None:
    model = torch.nn.ModuleList([torch.nn.Linear(3, 2), torch.nn.Linear(3, 2, device="meta")])
    model[0].register_buffer("table", torch.arange(4.0))
    memory = model[0].weight.data_ptr()
    initialize_(model, {"*": "xavier"}, seed=SEED, device="cpu")
    assert model[0].weight.data_ptr() == memory
    assert model[0].table.tolist() == [0, 1, 2, 3]


def test_what_is_not_filled_after_to_empty_is_never_garbage() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2, device="meta"))
    with pytest.raises(InvalidArgument, match=r"no rule fits parameter '0\.bias'"):
        initialize_(module, {"*.weight": "xavier"}, seed=SEED, device="cpu")
    report = initialize_(module, {"*.weight": "xavier"}, seed=SEED, device="cpu", strict=False)
    assert report["0.bias"].status == "not filled"
    assert module[0].bias.isnan().all()
    assert "1 parameter that no rule fits: they keep what they held, or are NaN if" in str(report)


class Rotary(torch.nn.Module):
    def __init__(self, complete: bool) -> None:
        super().__init__()
        self.complete = complete
        self.register_buffer("cos", torch.empty(4), persistent=False)
        self.register_buffer("count", torch.empty(2, dtype=torch.int64), persistent=False)
        self.weight = torch.nn.Parameter(torch.empty(3))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.weight.fill_(7)
            self.cos.fill_(0.5)
            if self.complete:
                self.count.zero_()


def test_modules_set_the_buffers_that_rules_skip() -> None:
    with torch.device("meta"):
        module = torch.nn.Sequential(Rotary(complete=True))
    report = initialize_(module, {"*.weight": "constant"}, seed=SEED, device="cpu", reset_buffers=True)
    assert module[0].cos.tolist() == [0.5] * 4
    assert module[0].weight.tolist() == [0] * 3
    assert [entry.status for entry in report] == ["filled", "reset", "reset"]
    with torch.device("meta"):
        module = torch.nn.Sequential(Rotary(complete=False))
    with pytest.raises(InvalidArgument, match="reset_parameters of Rotary does not set it"):
        initialize_(module, {"*.weight": "constant"}, seed=SEED, device="cpu", reset_buffers=True)


class Counted(torch.nn.Module):
    """Buffers of one data type, of which `reset_parameters` sets one."""

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.register_buffer("one", torch.empty(4, dtype=dtype))
        self.register_buffer("other", torch.empty(4, dtype=dtype))

    def reset_parameters(self) -> None:
        self.one.zero_()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int64", "float16", "bfloat16", "complex64"])
def test_buffers_of_every_type_that_modules_do_not_set_are_refused(dtype: str) -> None:
    with torch.device("meta"):
        module = Counted(getattr(torch, dtype))
    with pytest.raises(InvalidArgument, match=r"^buffer 'other' was on the device meta, and reset_parameters"):
        initialize_(module, RULES, seed=SEED, device="cpu", reset_buffers=True)
    with torch.device("meta"):
        module = Counted(getattr(torch, dtype))
    report = initialize_(module, RULES, seed=SEED, device="cpu", reset_buffers=True, strict=False)
    assert [entry.status for entry in report] == ["reset", "not filled"]
    assert not module.one.any()


class Changing(torch.nn.Linear):
    """Its reset changes more than values."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.register_buffer("cos", torch.zeros(4))

    def change(self) -> None:
        """Change it."""

    def reset_parameters(self) -> None:
        if "cos" in self._buffers:
            self.cos = torch.ones(4)
            self.change()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda module: module._buffers.pop("cos"), "'1.cos' of Changing is gone"),
        (lambda module: setattr(module, "bias", None), "'1.bias' of Changing is gone"),
        (lambda module: setattr(module, "cos", torch.ones(4, device="meta")), "'1.cos' .* is on the device meta"),
        (lambda module: setattr(module, "cos", torch.ones(5)), r"'1.cos' .* the shape \[5\] in place of \[4\]"),
        (
            lambda module: setattr(module, "weight", torch.nn.Parameter(torch.ones(2, 5))),
            r"'1.weight' of Changing has the shape \[2, 5\] in place of \[2, 3\]",
        ),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_modules_that_change_more_than_values_when_they_are_reset_are_refused(
    change: Any, message: str, device: str
) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), Changing()).to(device)
    module[1].change = lambda: change(module[1])
    with pytest.raises(InvalidArgument, match=rf"^reset_parameters sets values, .*{message} after it$"):
        initialize_(module, {"*": "gaussian"}, seed=SEED, device="cpu", reset_buffers=True)
    assert module[0].weight.device.type == device


def test_the_default_device_changes_nothing() -> None:
    module, other = torch.nn.Linear(300, 200), torch.nn.Linear(300, 200)
    report = initialize_(module, "torch", seed=SEED)
    # One that fails as soon as anything is looked at that lies there, as those of GPUs may.
    with torch.device("meta"):
        there = initialize_(other, "torch", seed=SEED)
        assert digest(other.weight) == digest(module.weight)
        assert str(lint(other, "torch")).endswith("no findings")
        absent = torch.nn.Linear(300, 200)
        initialize_(absent, "torch", seed=SEED, device="cpu")
    assert there.entries == report.entries
    assert same(values(module), values(other))
    assert same(values(module), values(absent))


def test_a_refused_call_leaves_a_module_where_it_was() -> None:
    with torch.device("meta"):
        module = torch.nn.ModuleList([Model(), Rotary(complete=False)])
    kept = torch.zeros(3)
    module.register_buffer("kept", kept)
    rules = {"0.mask": "constant", **RULES, "*": 'type: "gaussian"'}
    with pytest.raises(InvalidArgument, match="a client is a FillerClient"):
        initialize_(module, rules, seed=SEED, device="cpu", reset_buffers=True, client="here")  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(InvalidArgument, match=r"buffer '1\.count' was on the device meta"):
            initialize_(module, rules, seed=SEED, device="cpu", reset_buffers=True)
        assert module[0].head.weight is module[0].embed.weight
        assert {name for name, held in module.state_dict().items() if not held.is_meta} == {"kept"}
        assert module[1].cos.is_meta
    module[1].complete = True
    initialize_(module, rules, seed=SEED, device="cpu", reset_buffers=True)
    assert module[1].cos.tolist() == [0.5] * 4
    assert module.kept is kept


def test_a_call_that_fails_while_it_fills_can_be_made_again() -> None:
    with torch.device("meta"):
        module = torch.nn.Linear(3, 2).half()
    with pytest.raises(InvalidArgument, match="float16 ends at 65504"):
        initialize_(module, {"*": 'type: "constant" value: 70000'}, seed=SEED, device="cpu")
    assert module.weight.is_meta


def test_a_device_without_enough_memory_is_given_back_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 3))
    usual = torch.empty_like

    def empty_like(tensor: Any, *, device: Any) -> Any:
        if device == "cpu" and tensor is module[1].weight:
            raise torch.OutOfMemoryError
        return usual(tensor, device=device)

    monkeypatch.setattr(torch, "empty_like", empty_like)
    with pytest.raises(torch.OutOfMemoryError):
        initialize_(module, "torch", seed=SEED, device="cpu")
    assert all(held.is_meta for held in module.parameters())


def test_nothing_is_reset_before_a_call_is_refused() -> None:
    module = torch.nn.ModuleList([Rotary(complete=True), Rotary(complete=True)])
    module[0].cos.zero_()
    module[1].weight = torch.nn.Parameter(module[0].weight.detach()[1:])
    with pytest.raises(InvalidArgument, match="overlap"):
        initialize_(module, {"*weight": "gaussian"}, seed=SEED, reset_buffers=True)
    with pytest.raises(InvalidArgument, match="a client is a FillerClient"):
        initialize_(module[:1], RULES, seed=SEED, reset_buffers=True, client="here")  # type: ignore[arg-type]
    assert not module[0].cos.any()


@pytest.fixture
def world() -> Iterator[None]:
    """A world of this process alone."""
    distributed = torch.distributed
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("world")
def test_what_fsdp_has_gathered_is_sharded_again_and_filled() -> None:
    from torch.distributed.fsdp import fully_shard

    def made(device: str) -> Any:
        with torch.device(device):
            module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 3))
        return fully_shard(module)

    one, other, third = made("meta"), made("cpu"), made("meta")
    initialize_(one, "torch", seed=SEED, device="cpu")
    x = torch.ones(2, 3)
    with torch.no_grad():
        other(x)
    initialize_(other, "torch", seed=SEED)
    for _ in range(2):
        assert torch.equal(one(x), other(x))
        other(x).sum().backward()
    third.register_buffer("table", torch.empty(3, device="meta"))
    third.reset_parameters = lambda: None
    with pytest.raises(InvalidArgument, match="buffer 'table' was on the device meta"):
        initialize_(third, "torch", seed=SEED, device="cpu", reset_buffers=True)
    assert all(held.is_meta for held in third.parameters())
    del third.table
    initialize_(third, "torch", seed=SEED, device="cpu")
    assert torch.equal(one(x), third(x))


def test_buffers_are_left_alone_unless_a_rule_names_them() -> None:
    norm = torch.nn.BatchNorm1d(3)
    norm.running_mean.fill_(5)
    report = initialize_(norm, {"*": "constant"}, seed=SEED)
    assert norm.running_mean.tolist() == [5] * 3
    assert report["running_mean"].status == "left alone"
    initialize_(norm, "torch", seed=SEED)
    assert norm.running_mean.tolist() == [0] * 3
    with pytest.raises(InvalidArgument, match="more than a whole number"):
        initialize_(norm, {"num_batches_tracked": 'type: "constant" value: 0.5', "*": "constant"}, seed=SEED)


def test_a_padding_row_is_zeros_where_a_rule_says_so() -> None:
    module = torch.nn.Embedding(6, 4, padding_idx=-2)
    initialize_(module, "torch", seed=SEED)
    assert [bool(row.any()) for row in module.weight] == [True] * 4 + [False, True]
    initialize_(module, {"*": "gaussian"}, seed=SEED)
    assert module.weight[4].any()


@pytest.mark.parametrize("row", [3, -37, np.int64(3), torch.tensor(3)])
def test_a_padding_row_may_be_an_integer_of_any_library(row: Any) -> None:
    module = torch.nn.Embedding(40, 8, padding_idx=row)
    initialize_(module, "torch", seed=SEED)
    assert module.weight.abs().sum(1).eq(0).nonzero().tolist() == [[3]]
    assert str(lint(module, "torch")).endswith("no findings")


@pytest.mark.parametrize("row", [40, -41, 3.0, "3"])
def test_a_padding_row_that_there_is_not_is_refused(row: Any) -> None:
    module = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Embedding(40, 8)])
    module[1].padding_idx = row
    before = values(module)
    with pytest.raises(InvalidArgument, match=rf"'1.weight' has 40 rows, .* Received: padding_idx={row!r}"):
        initialize_(module, "torch", seed=SEED)
    assert same(values(module), before)
    # A rule that does not ask for it does not mind.
    initialize_(module, {"*": "gaussian"}, seed=SEED)
    lint(module, {"*": "gaussian"})


def test_stages_of_a_pipeline_have_the_names_of_the_whole_model() -> None:
    model, first, second = Model(), Model().blocks[:2], Model().blocks[2:]
    initialize_(model, RULES, seed=SEED)
    initialize_(first, RULES, seed=SEED, name_prefix="blocks")
    initialize_(second, RULES, seed=SEED, name_prefix=lambda name: f"blocks.{int(name[0]) + 2}{name[1:]}")
    parts = [*first.parameters(), *second.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(model.blocks.parameters(), parts, strict=True))
    with pytest.raises(InvalidArgument, match="two parameters have one name in the whole model"):
        initialize_(first, RULES, seed=SEED, name_prefix=lambda name: name.rpartition(".")[2])


def test_wrappers_do_not_change_names() -> None:
    model, wrapped = Model(), Model()
    initialize_(model, RULES, seed=SEED)
    compiled = torch.nn.Module()
    compiled.add_module("_orig_mod", torch.nn.DataParallel(wrapped))
    report = initialize_(compiled, RULES, seed=SEED)
    assert same(values(model), values(wrapped))
    assert report["blocks.0.fc1.weight"].status == "filled"


def test_flat_and_lazy_parameters_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="has no shape before the first forward"):
        initialize_(torch.nn.LazyLinear(3), RULES, seed=SEED)
    module = torch.nn.Linear(3, 2)
    module.weight.ds_id = 0
    with pytest.raises(InvalidArgument, match=r"DeepSpeed's ZeRO-3 holds parameters in flat partitions; fill_flat_"):
        initialize_(module, RULES, seed=SEED)
    fsdp1: Any = type("FullyShardedDataParallel", (torch.nn.Module,), {})
    with pytest.raises(InvalidArgument, match="fill_flat_"):
        initialize_(fsdp1(), RULES, seed=SEED)


def test_types_that_no_blob_has_are_refused() -> None:
    module = torch.nn.Linear(3, 2)
    module.weight = torch.nn.Parameter(torch.zeros(2, 3, dtype=torch.int8), requires_grad=False)
    with pytest.raises(InvalidArgument, match=r"'weight' is no dense tensor of float32.*dtype=torch.int8"):
        initialize_(module, RULES, seed=SEED)
    for dtype in (torch.complex64, torch.float8_e4m3fn):
        module.weight = torch.nn.Parameter(torch.zeros(2, 3).to(dtype), requires_grad=False)
        with pytest.raises(InvalidArgument, match=rf"bfloat16, nor one of integers.*dtype={dtype}"):
            initialize_(module, {"*": "constant"}, seed=SEED)


STRANGE = {
    "quantized": lambda: torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.quint8),
    "nested": lambda: torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(1, 3)]),
    "jagged": lambda: torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(1, 3)], layout=torch.jagged),
    "wrapper": lambda: TwoTensor(torch.zeros(3, 3), torch.zeros(3, 3)),
    "fake": lambda: FakeTensorMode().from_tensor(torch.zeros(3, 3)),
}
WORDS = {"quantized": "'b' is no dense tensor", "nested": "'b' is a nested tensor", "jagged": "'b' is a nested tensor"}


@pytest.mark.filterwarnings("ignore:.*(nested|quantized) tensor:UserWarning")
@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("filler", ["constant", "gaussian"])
def test_tensors_without_values_of_their_own_are_refused_before_anything_is_written(kind: str, filler: str) -> None:
    module = torch.nn.Module()
    module.a = torch.nn.Parameter(torch.full((3, 3), 7.0))
    module.b = torch.nn.Parameter(STRANGE[kind](), requires_grad=False)
    words = WORDS.get(kind, "'b': a tensor that wraps others, or stands for one, has no memory of its own")
    for call in (initialize_, lint):
        with pytest.raises(InvalidArgument, match=words):
            call(module, {"*": filler}, **({"seed": SEED} if call is initialize_ else {}))
    assert module.a.eq(7).all()


def test_empty_parameters_and_modules_are_nothing_to_fill() -> None:
    with pytest.warns(UserWarning, match="zero-element"):
        module = torch.nn.Linear(0, 3)
    assert initialize_(torch.nn.Embedding(0, 3), "torch", seed=SEED)["weight"].status == "filled"
    report = initialize_(module, RULES, seed=SEED, name_prefix="m")
    assert report["m.weight"].std is None
    assert module.bias.tolist() == [0, 0, 0]
    assert len(initialize_(torch.nn.ReLU(), RULES, seed=SEED)) == 0


def test_rules_come_as_files_texts_messages_names_and_sequences(tmp_path: Path) -> None:
    text = 'rule { name: "*.bias" filler { type: "constant" } }\nrule { filler { type: "xavier" } }'
    (tmp_path / "rules.prototxt").write_text(text)
    message = InitRules()
    message.rule.add(name=["*.bias"]).filler.type = "constant"
    message.rule.add().filler.type = "xavier"
    wanted: dict[str, Any] | None = None
    path = tmp_path / "rules.prototxt"
    for rules in (text, path, str(path), message, [{"*.bias": "constant"}, text]):
        model = Model()
        initialize_(model, rules, seed=SEED)
        wanted = wanted or values(model)
        assert same(wanted, values(model))


@pytest.mark.parametrize(
    ("rules", "kind", "message"),
    [
        ("tranformer", NotFound, "did you mean 'transformer'?"),
        ("no/such/file.prototxt", NotFound, "neither a file nor a set of rules"),
        ("caffe", InvalidArgument, "rule_set('caffe', net=...)"),
        ("", InvalidArgument, "there are no rules"),
        ({}, InvalidArgument, "there are no rules"),
        ([], InvalidArgument, "there are no rules"),
        ({3: "xavier"}, InvalidArgument, "patterns of names to fillers. Received: 3"),
        (b"rule", InvalidArgument, "Received: bytes"),
        (None, InvalidArgument, "Received: NoneType"),
        ("rule { nam: 'x' }", PrototxtError, "did you mean name"),
    ],
)
def test_rules_that_are_none_are_refused(rules: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        initialize_(Model(), rules, seed=SEED)


def test_errors_name_the_file_of_rules(tmp_path: Path) -> None:
    (tmp_path / "r.prototxt").write_text('rule {\n  nam: "x"\n}')
    with pytest.raises(PrototxtError, match=r"r\.prototxt:2:3: InitRule has no field nam"):
        initialize_(Model(), tmp_path / "r.prototxt", seed=SEED)


def test_changes_of_a_set_are_those_of_the_caller_alone() -> None:
    rule_set("torch").Clear()
    assert rule_set("torch").rule
    initialize_(torch.nn.Linear(3, 2), "torch", seed=SEED)


def test_sets_are_checked_by_name_and_option() -> None:
    with pytest.raises(NotFound, match="did you mean 'torch'"):
        rule_set("troch")
    with pytest.raises(TypeError, match="deep"):
        rule_set("transformer", deep=3)
    with pytest.raises(TypeError, match="depth"):
        rule_set("transformer")


def test_a_server_gives_the_same_values(server: ServerProcess) -> None:
    one, other = Model(), Model()
    initialize_(one, RULES, seed=SEED)
    other.blocks[1].bfloat16()
    with FillerClient(server.address) as client:
        initialize_(other, RULES, seed=SEED, client=client)
    for (name, here), there in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(here.to(there.dtype), there), name


def test_arguments_are_checked() -> None:
    for seed in (-1, 2**64, 1.5, True):
        with pytest.raises(InvalidArgument, match="a seed is an integer"):
            initialize_(Model(), RULES, seed=seed)
    with pytest.raises(InvalidArgument, match="a module of PyTorch"):
        initialize_({"a": torch.empty(3)}, RULES, seed=SEED)
    with pytest.raises(InvalidArgument, match="a client is a FillerClient"):
        initialize_(Model(), RULES, seed=SEED, client="localhost:50051")  # type: ignore[arg-type]
    for device in ("gpu", "cpu:x", 1.5):
        with pytest.raises(InvalidArgument, match=f"no such device. Received: device={device!r}"):
            initialize_(Model(), RULES, seed=SEED, device=device)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def report() -> InitReport:
    return initialize_(Model(width=64), "transformer", seed=SEED)


def test_the_report_has_expected_and_measured_deviations(report: InitReport) -> None:
    for entry in report:
        if entry.std and np.prod(entry.shape) > 1000:
            assert entry.measured_std == pytest.approx(entry.std, rel=0.1), entry.name
            assert entry.measured_mean == pytest.approx(0, abs=0.1 * entry.std), entry.name
    wide = report["blocks.0.fc1.weight"]
    assert (wide.fan_in, wide.fan_out, wide.dtype, wide.shape) == (64, 256, "float32", (256, 64))


def test_depth_scaling_of_the_wrong_matrix_is_seen_in_the_report(report: InitReport) -> None:
    scaled = {entry.name for entry in report if entry.std == pytest.approx(0.02 / np.sqrt(2 * 3), rel=1e-5)}
    assert scaled == {f"blocks.{index}.fc2.weight" for index in range(3)}
    wrong = rule_set("transformer", depth=3, outputs=["*.fc1.weight"])
    other = initialize_(Model(width=64), wrong, seed=SEED)
    found = {entry.name for entry in other if entry.measured_std and 0 < entry.measured_std < 0.015}
    assert found == {f"blocks.{index}.fc1.weight" for index in range(3)}
    missed = initialize_(Model(width=64), rule_set("transformer", depth=3, outputs="*.no_such"), seed=SEED)
    assert any("no_such" in rule for rule in missed.unused)
    assert "rules that fit nothing here" in str(missed)


def test_the_report_can_be_shown(report: InitReport) -> None:
    assert repr(report) == "<InitReport: 19 filled, 1 tied, 1 left alone; seed 1701>"
    text = str(report)
    assert "blocks.2.fc2.weight" in text
    assert "tied to embed.weight" in text
    page = report._repr_html_()
    assert page.count("<tr>") == len(report) + 1
    assert "constant 1" in page
    with pytest.raises(KeyError):
        _ = report["no such"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("value", ["1.1", "-0.0", "1e-7", "1e-40", "60000"])
def test_constants_are_those_of_the_client(dtype: str, value: str) -> None:
    filler = f'type: "constant" value: {value}'
    module = torch.nn.Linear(3, 2).to(getattr(torch, dtype))
    report = initialize_(module, {"*": filler}, seed=SEED)
    wanted = FillerClient.embedded().fill(filler, (2, 3), dtype=dtype)
    held = module.weight.detach().view(getattr(torch, f"int{wanted.itemsize * 8}")).numpy()
    assert held.tobytes() == wanted.tobytes()
    assert report["weight"].measured_std == 0


def test_constants_that_a_data_type_cannot_hold_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="reach 70000 and float16 ends at 65504"):
        initialize_(torch.nn.Linear(3, 2).half(), {"*": 'type: "constant" value: 70000'}, seed=SEED)


@pytest.mark.parametrize(
    ("dtype", "value", "holds"),
    [("uint8", -3, "0 to 255"), ("int8", 300, "-128 to 127"), ("bool", 2, "0 to 1"), ("int64", 1e19, "-9223")],
)
def test_constants_that_an_integer_cannot_hold_are_refused_before_anything_is_written(
    dtype: str, value: float, holds: str
) -> None:
    module = torch.nn.Linear(3, 2)
    module.register_buffer("count", torch.zeros(3, dtype=getattr(torch, dtype)))
    before = module.weight.detach().clone()
    with pytest.raises(InvalidArgument, match=rf"'count' holds {holds}.*dtype=torch\.{dtype}"):
        initialize_(module, {"count": f'type: "constant" value: {value}', "*": "gaussian"}, seed=SEED)
    assert torch.equal(module.weight, before)
    initialize_(module, {"count": 'type: "constant" value: 1', "*": "gaussian"}, seed=SEED)
    assert module.count.tolist() == [1, 1, 1]


def test_constants_need_memory_of_their_own() -> None:
    model = Model()
    model.head.weight = torch.nn.Parameter(model.embed.weight.detach()[1:])
    with pytest.raises(InvalidArgument, match=r"'embed\.weight' and 'head\.weight' overlap"):
        initialize_(model, {"head.weight": "constant", **RULES}, seed=SEED)
    wide = torch.nn.Linear(3, 2)
    wide.bias = torch.nn.Parameter(torch.zeros(1).expand(2))
    with pytest.raises(InvalidArgument, match=r"several values of 'bias' share memory"):
        initialize_(wide, {"bias": "constant", "*": "xavier"}, seed=SEED)


def test_tensors_of_inference_mode_are_filled() -> None:
    with torch.inference_mode():
        module = torch.nn.Linear(3, 2)
    report = initialize_(module, {"bias": "constant", "*": "xavier"}, seed=SEED)
    assert module.bias.tolist() == [0, 0]
    assert report["weight"].measured_std > 0


def test_figures_of_values_that_are_not_finite_are_not_numbers() -> None:
    report = initialize_(torch.nn.Linear(3, 2), {"*": 'type: "constant" value: inf'}, seed=SEED)
    assert np.isnan(report["weight"].measured_std)
