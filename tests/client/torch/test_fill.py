"""One tensor, flat partitions, the buffers in front of a device, and a checkpoint that is not there."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import FillerError, InvalidArgument, ShapeError
from filler_client import FanAxes, FillerClient, Piece, UnnamedBlobWarning

pytestmark = pytest.mark.frameworks
torch = pytest.importorskip("torch")

from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper  # noqa: E402
from torch.distributed.checkpoint import CheckpointException, FileSystemWriter, load, save  # noqa: E402
from torch.testing._internal.two_tensor import TwoTensor  # noqa: E402

from filler_client.torch import FillerStorageReader, fill_, fill_flat_, initialize_, lint, rule_set  # noqa: E402
from filler_client.torch._staging import Staging  # noqa: E402

SEED = 1701
CLIENT = FillerClient.embedded()
FILLER = 'type: "xavier" variance_norm: AVERAGE'


def wanted(shape: tuple[int, ...], name: str = "w", dtype: str = "float32") -> Any:
    return CLIENT.fill(FILLER, shape, name=name, seed=SEED, dtype=dtype)


def test_a_tensor_is_filled_where_it_is() -> None:
    tensor = torch.empty(6, 5)
    assert fill_(tensor, FILLER, name="w", seed=SEED) is tensor
    assert (tensor.numpy() == wanted((6, 5))).all()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.empty(5, 6).t(),
        torch.empty(12, 5)[::2],
        torch.empty(2, 6, 5)[1],
        torch.empty(6, 5, requires_grad=True),
        torch.nn.Parameter(torch.empty(6, 5)),
    ],
)
def test_strides_and_gradients_change_nothing(tensor: Any) -> None:
    fill_(tensor, FILLER, name="w", seed=SEED)
    assert (tensor.detach().numpy() == wanted((6, 5))).all()


def test_fans_of_other_layouts_are_those_of_the_client() -> None:
    for options in ({"layout": "stack,in,out"}, {"axes": FanAxes(stacks=0, inputs=1, outputs=2)}):
        tensor = fill_(torch.empty(3, 7, 5), FILLER, name="w", seed=SEED, **options)
        assert (tensor.numpy() == CLIENT.fill(FILLER, (3, 7, 5), name="w", seed=SEED, layout="stack,in,out")).all()
    module = torch.nn.ParameterDict({"experts": torch.nn.Parameter(torch.empty(3, 7, 5))})
    rules = f'rule {{ layout: "stack,in,out" filler {{ {FILLER} }} }}'
    report = initialize_(module, rules, seed=SEED)
    assert (report["experts"].fan_in, report["experts"].fan_out) == (7, 5)
    wanted = CLIENT.fill(FILLER, (3, 7, 5), name="experts", seed=SEED, layout="stack,in,out")
    assert (module["experts"].detach().numpy() == wanted).all()
    flat = fill_flat_(torch.empty(60), [("experts", (3, 7, 5))], rules, start=40, seed=SEED)
    assert (flat.numpy() == wanted.reshape(-1)[40:100]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize(
    ("filler", "shape"),
    [
        ('type: "gaussian" std: 0.1 sparse: 2', (6, 5)),
        ('type: "truncated_gaussian" std: 0.1', (300, 500)),
        ('type: "positive_unitball"', (7, 9)),
        ('type: "bilinear"', (2, 2, 4, 4)),
        ("orthogonal", (8, 8)),
        ("xavier", ()),
        ("xavier", (3, 0)),
        ('type: "uniform" min: 2 max: 1', (4,)),
        ('type: "constant" value: 70000', (4,)),
        ("no_such_filler", (4,)),
        (f'type: "constant" value: 1 # {"x" * 600}', (4,)),
    ],
)
def test_without_a_client_all_is_as_with_one(filler: str, shape: tuple[int, ...], dtype: str) -> None:
    def filled(name: str, client: FillerClient | None) -> Any:
        tensor = torch.zeros(shape, dtype=getattr(torch, dtype))
        try:
            fill_(tensor, filler, name=name, seed=SEED, client=client)
        except FillerError as error:
            return type(error), str(error), error.violations
        return tensor.view(torch.int8 if shape else tensor.dtype).tolist()

    for name in ("w", "", "n" * 300, "\ud800"):
        assert filled(name, None) == filled(name, CLIENT), name


def test_what_lies_beside_a_view_is_not_touched() -> None:
    whole = torch.zeros(12, 5, dtype=torch.bfloat16)
    fill_(whole[1:7], FILLER, name="w", seed=SEED)
    assert not whole[:1].any()
    assert not whole[7:].any()
    assert (whole[1:7].float().numpy() == wanted((6, 5), dtype="bfloat16").astype(np.float32)).all()


def test_tensors_without_memory_of_their_own_are_refused() -> None:
    for transform in (torch.func.vmap, torch.func.grad):
        with pytest.raises(InvalidArgument, match="has no memory of its own"):
            transform(lambda held: fill_(held, FILLER, name="w").sum())(torch.zeros(5, 6))
    with pytest.raises(InvalidArgument, match="has no memory of its own"):
        fill_flat_(TwoTensor(torch.zeros(6), torch.zeros(6)), {"w": (2, 3)}, {"*": FILLER}, start=0)
    with pytest.raises(InvalidArgument, match="'w' is no dense tensor"):
        fill_(torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), FILLER, name="w")


def test_values_that_share_memory_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="several values of 'w' share memory"):
        fill_(torch.empty(1, 5).expand(6, 5), FILLER, name="w")
    with pytest.raises(InvalidArgument, match="several values of 'w' share memory"):
        fill_(torch.zeros(10).as_strided((4, 4), (2, 1)), FILLER, name="w")
    # Rows of five steps of 2 or 3 values, which never meet.
    apart = torch.zeros(20).as_strided((2, 3), (3, 2))
    assert (fill_(apart, FILLER, name="w", seed=SEED).numpy() == wanted((2, 3))).all()


def test_scalars_and_empty_tensors() -> None:
    assert fill_(torch.empty(()), 'type: "constant" value: 3', name="w").item() == 3
    assert fill_(torch.empty(0, 3), FILLER, name="w").shape == (0, 3)
    with pytest.raises(ShapeError):
        fill_(torch.empty(()), FILLER, name="w")


def test_a_random_tensor_without_a_name_is_warned_of() -> None:
    with pytest.warns(UnnamedBlobWarning) as caught:
        fill_(torch.empty(3, 2), FILLER)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fill_(torch.empty(3, 2), "constant")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.empty(3, dtype=torch.int32),
        torch.empty(3, dtype=torch.complex64),
        torch.empty(3, device="meta"),
        torch.empty(3, 3).to_sparse(),
        torch.empty(3, dtype=torch.complex64).conj().imag,
        np.empty(3),
        None,
    ],
)
def test_what_cannot_hold_a_blob_is_refused(tensor: Any) -> None:
    with pytest.raises(InvalidArgument):
        fill_(tensor, FILLER, name="w")


PARAMETERS = [("a.weight", (7, 3)), (None, (2,)), ("a.bias", (7,)), ("b.weight", (4, 5)), ("scale", ())]
RULES = {"*.bias": "uniform", "scale": 'type: "constant" value: 2', "*": FILLER}
COUNT = 21 + 2 + 7 + 20 + 1


@pytest.mark.parametrize("world", [1, 2, 3, 7, 60])
def test_flat_partitions_are_what_whole_parameters_have(world: int) -> None:
    named = {name: torch.empty(shape) for name, shape in PARAMETERS if name is not None}
    for name, tensor in named.items():
        fill_(tensor, RULES.get(name) or RULES["*.bias" if name.endswith(".bias") else "*"], name=name, seed=SEED)
    row = torch.cat([named[name].reshape(-1) if name else torch.zeros(2) for name, _ in PARAMETERS])
    length = -(-COUNT // world)
    parts = []
    for rank in range(world):
        part = torch.full((length,), torch.nan)
        assert fill_flat_(part, PARAMETERS, RULES, start=rank * length, seed=SEED) is part
        parts.append(part)
    gathered = torch.cat(parts)
    assert torch.equal(gathered[:COUNT], row)
    # Padding is zeros.
    assert not gathered[COUNT:].any()


def test_parameters_of_a_flat_partition_come_as_any_iterable_and_the_start_as_any_integer() -> None:
    named = {name: shape for name, shape in PARAMETERS if name is not None}
    whole = fill_flat_(torch.empty(49), list(named.items()), RULES, start=0, seed=SEED)
    for parameters in (iter(named.items()), named, [(name, np.array(shape, int)) for name, shape in named.items()]):
        assert torch.equal(fill_flat_(torch.empty(49), parameters, RULES, start=np.int64(0), seed=SEED), whole)
    with pytest.raises(InvalidArgument, match="start=True"):
        fill_flat_(torch.empty(49), named, RULES, start=True, seed=SEED)


def test_flat_partitions_are_checked() -> None:
    part = torch.empty(10)
    for tensor, start in ((part.reshape(2, 5), 0), (part, -1), (part, 0.5), (part.int(), 0)):
        with pytest.raises(InvalidArgument):
            fill_flat_(tensor, PARAMETERS, RULES, start=start, seed=SEED)  # type: ignore[arg-type]
    for parameters in (
        [("a", (2, -3))],
        [("a", (2,)), ("a", (2,))],
        [(5, (2,))],
        [("a", (2.5,))],
        5,
        "ab",
        [("a", 4)],
        [("a", (2,), 3)],
        {5: (2,)},
    ):
        with pytest.raises(InvalidArgument):
            fill_flat_(part, parameters, RULES, start=0, seed=SEED)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"no rule fits parameter 'a\.weight'"):
        fill_flat_(part, PARAMETERS, {"*.bias": "constant"}, start=0, seed=SEED)
    with pytest.raises(InvalidArgument, match="depth="):
        fill_flat_(part, PARAMETERS, "transformer", start=0, seed=SEED)


@pytest.mark.parametrize("nbytes", [64, 100, 1 << 20])
def test_buffers_in_front_of_a_device_lose_nothing(nbytes: int) -> None:
    shapes = [(6, 5), (1,), (40, 30)]
    tensors = [torch.empty(6, 5), torch.empty(1), torch.empty(30, 40).t()]

    def pieces() -> Iterator[Piece]:
        from caffe_filler.v1.filler_pb2 import BlobHeader

        for shape in shapes:
            data = memoryview(wanted(shape).tobytes())
            cut = len(data) // 3
            for start, stop in ((0, cut), (cut, len(data))):
                block = bytearray(data[start:stop])
                yield Piece(BlobHeader(), shape, start, memoryview(block), stop == len(data))
                block[:] = bytes(len(block))  # it is valid until the next one is asked for

    with torch.device("meta"):
        # Buffers lie here, whatever the default device.
        staging = Staging(torch.device("cpu"), nbytes=nbytes)
    staging.receive(pieces(), tensors)
    for shape, tensor in zip(shapes, tensors, strict=True):
        assert (tensor.numpy() == wanted(shape)).all()


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(6, 4, padding_idx=0)
        self.norm = torch.nn.BatchNorm1d(4)
        self.head = torch.nn.Linear(4, 6, bias=False)
        self.head.weight = self.embed.weight
        self.again = self.head


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Checkpoints say that there is one process, and that a tie makes two keys of one tensor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def test_a_checkpoint_that_is_not_there_is_what_initialize_fills(tmp_path: Path) -> None:
    one, other = Net(), Net()
    other.norm.running_mean.fill_(3)
    initialize_(one, "torch", seed=SEED)
    reader = FillerStorageReader("torch", SEED, module=other, key_prefix="model.")
    load({"model": other.state_dict()}, storage_reader=reader)
    for key, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key
    # And as one that has been saved and loaded.
    save(one.state_dict(), storage_writer=FileSystemWriter(tmp_path))
    third = Net()
    load(third.state_dict(), checkpoint_id=tmp_path)
    assert all(torch.equal(tensor, third.state_dict()[key]) for key, tensor in one.state_dict().items())


def test_the_dot_after_a_prefix_of_keys_may_be_left_out() -> None:
    one = Net()
    initialize_(one, rules := {"*": "gaussian"}, seed=SEED)
    for prefix in ("model.", "model"):
        for module in (None, Net()):
            state = {"model": {"norm.weight": torch.zeros(4)}}
            load(state, storage_reader=FillerStorageReader(rules, SEED, key_prefix=prefix, module=module))
            assert torch.equal(state["model"]["norm.weight"], one.norm.weight)
    with pytest.raises(InvalidArgument, match="key_prefix is text"):
        FillerStorageReader(rules, SEED, key_prefix=3)  # type: ignore[arg-type]


def test_keys_of_one_name_are_refused() -> None:
    state = {"model": {"w": torch.zeros(4)}, "w": torch.zeros(4)}
    with pytest.raises(CheckpointException, match=r"'model\.w' and 'w' have one name.*key_prefix='model\.'"):
        load(state, storage_reader=FillerStorageReader({"*": "gaussian"}, SEED, key_prefix="model."))
    assert not state["w"].any()
    with pytest.raises(InvalidArgument, match=r"module is one of PyTorch\. Received: dict"):
        FillerStorageReader("torch", SEED, module={})  # type: ignore[arg-type]


def test_a_fan_of_another_parameter_counts_without_a_module() -> None:
    rules = "rule { name: '*bias' fan_of: 'weight' filler { type: 'xavier' } }\nrule { filler { type: 'msra' } }"
    module = torch.nn.ModuleDict({"fc": torch.nn.Linear(9, 30)})
    initialize_(module, rules, seed=SEED)
    shapes = {"fc.weight": (30, 9), "fc.bias": (30,)}
    flat = fill_flat_(torch.empty(15), shapes, rules, start=270 + 15, seed=SEED)
    assert torch.equal(flat, module.fc.bias[15:])
    state = {f"model.{name}": torch.zeros(shape) for name, shape in shapes.items()}
    load(state, storage_reader=FillerStorageReader(rules, SEED, key_prefix="model"))
    assert torch.equal(state["model.fc.bias"], module.fc.bias)
    assert str(lint(module.state_dict(), rules)).endswith("no findings")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: torch.compile(net, backend="eager"),
        torch.nn.DataParallel,
        lambda net: torch.compile(torch.nn.DataParallel(net), backend="eager"),
        lambda net: torch.nn.ModuleDict({"inner": torch.compile(net, backend="eager")}),
        lambda net: torch.nn.ModuleDict({"inner": checkpoint_wrapper(net)}),
    ],
)
def test_wrappers_do_not_change_the_values_of_a_checkpoint(wrap: Any) -> None:
    one, other = Net(), Net()
    other.norm.running_mean.fill_(3)
    before = other.norm.num_batches_tracked.fill_(5).clone()
    wrapped = wrap(other)
    rules = [{"*running_mean": "constant"}, {"*weight": "gaussian", "*bias": "uniform"}]
    prefix = "inner." if isinstance(wrapped, torch.nn.ModuleDict) else ""
    initialize_(torch.nn.ModuleDict({"inner": one}) if prefix else one, rules, seed=SEED)
    load(wrapped.state_dict(), storage_reader=FillerStorageReader(rules, SEED, module=wrapped))
    assert torch.equal(other.norm.num_batches_tracked, before)
    for (key, tensor), filled in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(tensor, filled), key
    # The names without wrappers, which get_model_state_dict has, are the same tensors.
    third = Net()
    state = {f"{prefix}{key}": tensor for key, tensor in third.state_dict().items()}
    load(state, storage_reader=FillerStorageReader(rules, SEED, module=wrap(third)))
    assert torch.equal(third.embed.weight, one.embed.weight)


def test_keys_that_the_module_does_not_have_are_refused() -> None:
    net = Net()
    for key in ("norm.wieght", "module.norm.weight"):
        state = {key: torch.zeros(4)}
        with pytest.raises(CheckpointException, match=f"'{key}' is neither a parameter nor a buffer of the module"):
            load(state, storage_reader=FillerStorageReader({"*": "gaussian"}, SEED, module=net))
        assert not state[key].any()


def test_shapes_that_the_module_does_not_have_are_refused() -> None:
    net = Net()
    for held in (torch.zeros(4, 6), torch.zeros(3, 4), torch.zeros(24)):
        with pytest.raises(CheckpointException, match=r"'embed\.weight' has another shape in the module, \[6, 4\]"):
            load({"embed.weight": held}, storage_reader=FillerStorageReader({"*": "gaussian"}, SEED, module=net))
        assert not held.any()


def test_a_checkpoint_of_a_net_has_the_values_of_the_net(nets: Path) -> None:
    net = nets / "lenet.prototxt"
    state = {"conv1.weight": torch.empty(20, 1, 5, 5), "ip2.bias": torch.empty(10), "ip1.weight": torch.empty(500, 800)}
    load(state, storage_reader=FillerStorageReader(rule_set("caffe", net=net), SEED))
    weights = CLIENT.init_net(net, seed=SEED)
    assert (state["ip1.weight"].numpy() == weights["ip1/0"]).all()
    assert (state["conv1.weight"].numpy() == weights["conv1/0"]).all()
    assert (state["ip2.bias"].numpy() == weights["ip2/1"]).all()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": torch.empty(3)}, "no rule fits 'a'"),
        ({"w": torch.empty(3, dtype=torch.int8)}, "'w' is no dense tensor"),
        ({"w": 3}, "w"),
        ({"w": (tied := torch.empty(3, 2)), "w2": tied}, "'w' and 'w2' are one tensor; module="),
    ],
)
def test_a_checkpoint_refuses_what_has_no_rule(state: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointException, match=message):
        load(state, storage_reader=FillerStorageReader({"w*": "xavier"}, SEED))


def test_padding_that_only_a_module_tells_is_refused() -> None:
    rules = (
        'rule { name: "*embed.weight" zero_padding: true filler { type: "gaussian" } } rule { filler { type: "msra" } }'
    )
    net = Net()
    state = {"embed.weight": net.embed.weight.detach()}
    with pytest.raises(CheckpointException, match=r"'embed\.weight': without a module .*module=.*in rule 1"):
        load(state, storage_reader=FillerStorageReader(rules, SEED))
    load(state, storage_reader=FillerStorageReader(rules, SEED, module=net))
    assert [bool(row.any()) for row in net.embed.weight] == [False] + [True] * 5
    with pytest.raises(InvalidArgument, match=r"'embed\.weight': without a module .*initialize_"):
        fill_flat_(torch.empty(30), {"fc.weight": (2, 3), "embed.weight": (6, 4)}, rules, start=0, seed=SEED)
    fill_flat_(torch.empty(6), {"fc.weight": (2, 3), "embed.weight": (6, 4)}, rules, start=0, seed=SEED)


def test_a_checkpoint_that_is_not_there_has_no_place() -> None:
    reader = FillerStorageReader("torch", SEED)
    with pytest.raises(InvalidArgument, match="nothing is read from a file"):
        load({"w": torch.empty(3)}, storage_reader=reader, checkpoint_id="somewhere")
    with pytest.raises(InvalidArgument, match="a seed is an integer"):
        FillerStorageReader("torch", -1)
