"""Keyword options: their names, and what their values may be."""

import asyncio
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import filler_client
from caffe_filler import dtypes
from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument
from filler_client import AsyncFillerClient, FillerClient, UnnamedBlobWarning
from tests.client.cli.command import fail, run, succeed

NET = """
layer { name: "d" type: "Input" top: "d" input_param { shape { dim: [1, 2] } } }
layer { name: "i" type: "InnerProduct" bottom: "d" top: "i"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "o" type: "InnerProduct" bottom: "i" top: "o" include { phase: TEST }
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""

WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "init_net": (lambda client: client.init_net(NET, sead=5), "'sead' (did you mean 'seed'?)"),
    "fill_net": (lambda client: client.fill_net(NET, dtyp="f16"), "'dtyp' (did you mean 'dtype'?)"),
    "fill": (lambda client: client.fill("msra", (2, 3), regions=None), "'regions' (did you mean 'region'?)"),
    "plan_net": (lambda client: client.plan_net(NET, stage=["a"]), "'stage' (did you mean 'stages'?)"),
    "plan_finetune": (
        lambda client: client.plan_finetune(NET, "w", ignore_shap=True),
        "(did you mean 'ignore_shape'?)",
    ),
    "finetune_net": (lambda client: client.finetune_net(NET, "w", blobs=["a"]), "'blobs'"),
    "names": (lambda client: client.init_net(NET, names="torch"), "'names'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_unknown_options_are_refused_with_the_nearest_name(case: str) -> None:
    call, words = WRONG[case]
    with pytest.raises(TypeError, match="got an unexpected keyword argument") as caught:
        call(FillerClient.embedded())
    assert str(caught.value).endswith(words)


@pytest.mark.parametrize("case", WRONG)
def test_unknown_options_are_refused_by_the_asynchronous_client(case: str) -> None:
    call, words = WRONG[case]

    async def run_it() -> None:
        async with AsyncFillerClient("localhost:1") as client:
            answer = call(client)
            if inspect.isawaitable(answer):
                await answer

    with pytest.raises(TypeError, match="got an unexpected keyword argument") as caught:
        asyncio.run(run_it())
    assert str(caught.value).endswith(words)


@pytest.mark.parametrize("kind", [FillerClient, AsyncFillerClient])
def test_unknown_options_of_a_client(kind: type[Any]) -> None:
    with pytest.raises(TypeError, match=r"'tokn' \(did you mean 'token'\?\)$"):
        kind("localhost:1", tokn="x")


@pytest.mark.parametrize("kind", [FillerClient, AsyncFillerClient])
def test_signatures_show_the_options(kind: type[Any]) -> None:
    shown = inspect.signature(kind.init_net).parameters
    assert {"net", "seed", "dtype", "stream", "phase", "lenient", "blobs"} <= shown.keys()
    assert "options" not in shown
    assert inspect.iscoroutinefunction(AsyncFillerClient.init_net)


def public_calls() -> dict[str, Callable[..., Any]]:
    """Every function that the client has, and every method of the clients."""
    found = {name: getattr(filler_client, name) for name in filler_client.__all__}
    calls = {name: value for name, value in found.items() if inspect.isfunction(value)}
    for kind in (FillerClient, AsyncFillerClient):
        for name, method in inspect.getmembers(kind, callable):
            if not name.startswith("_"):
                calls[f"{kind.__name__}.{name}"] = method
    return calls


@pytest.mark.parametrize("name", public_calls())
def test_every_public_call_names_its_options_and_refuses_others(name: str) -> None:
    call = public_calls()[name]
    parameters = inspect.signature(call).parameters.values()
    assert not [entry for entry in parameters if entry.kind is entry.VAR_KEYWORD]
    needed = [
        entry for entry in parameters if entry.default is entry.empty and entry.kind is entry.POSITIONAL_OR_KEYWORD
    ]

    async def run_it() -> None:
        answer = call(*[None] * len(needed), no_option=5)
        if inspect.isawaitable(answer):
            await answer

    with pytest.raises(TypeError, match="unexpected keyword argument 'no_option'"):
        asyncio.run(run_it())


def test_options_of_functions_may_all_be_given_by_name(tmp_path: Path) -> None:
    net, weights = tmp_path / "net.prototxt", tmp_path / "w.npz"
    net.write_text(NET)
    FillerClient.embedded().save_net(net=net, path=weights)
    filler_client.convert(source=weights, target=tmp_path / "w.safetensors", net=net, phase="TRAIN")
    with pytest.raises(TypeError, match=r"'phas' \(did you mean 'phase'\?\)$"):
        filler_client.convert(weights, tmp_path / "x.safetensors", phas="TRAIN")  # type: ignore[call-arg]


def test_how_answers_are_shown(tmp_path: Path) -> None:
    client, weights = FillerClient.embedded(), tmp_path / "w.npz"
    saved = client.save_net(NET, weights)
    assert repr(saved) == f"SavedNet('{weights}', 1 file, 2 tensors, 36 bytes)"
    assert repr(client.plan_finetune(NET, weights, phase="TEST")) == (
        "MergePlan(4 blobs, 2 of them filled, 0 unused tensors, 0 conflicts)"
    )
    looked_at = filler_client.inspect(weights)
    assert repr(looked_at.file) == f"WeightsFile('{weights}', npz, 2 tensors)"
    assert repr(looked_at) == f"Inspected({looked_at.file!r}, statistics of 2)"
    assert repr(client.plan_net(NET)).startswith("NetPlan(")


@pytest.mark.parametrize(
    ("phase", "layers"),
    [
        ("TRAIN", 2), ("train", 2), ("Train", 2), (0, 2), (caffe_pb2.TRAIN, 2), (np.int32(0), 2),
        ("TEST", 3), ("test", 3), ("tEst", 3), (1, 3), (caffe_pb2.TEST, 3), (np.int64(1), 3),
    ],
)  # fmt: skip
def test_phases(phase: Any, layers: int) -> None:
    plan = FillerClient.embedded().plan_net(NET, phase=phase)
    assert len(plan.layers) == layers
    assert plan.state.phase == layers - 2


@pytest.mark.parametrize("phase", ["", "TESTS", 2, -1, True, None, 0.0, b"TEST"])
def test_what_no_phase_is(phase: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"a phase is TRAIN or TEST. Received: phase="):
        FillerClient.embedded().plan_net(NET, phase=phase)


class TorchDType:
    """Looks as a `torch.dtype` does, where PyTorch is not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return f"torch.{self._name}"


TorchDType.__module__ = "torch"


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16"])
def test_dtypes_of_pytorch(name: str) -> None:
    dtype: Any = TorchDType(name)
    assert dtypes.parse(dtype).name == name
    assert dtypes.to_wire(dtype) == dtypes.to_wire(name)


def test_dtypes_of_pytorch_that_no_blob_can_have() -> None:
    dtype: Any = TorchDType("int8")
    with pytest.raises(InvalidArgument, match=r"no data type that a blob can have.* Received: dtype=torch.int8"):
        dtypes.parse(dtype)


@pytest.mark.parametrize(("long", "short"), [("float32", "f32"), ("bfloat16", "bf16")])
def test_long_names_of_dtypes_on_the_command_line(long: str, short: str, tmp_path: Path) -> None:
    for name in (long, short):
        succeed(
            "fill", "msra", "--shape", "2,3", "--name", "a", "--dtype", name, "-o", tmp_path / f"{name}.safetensors"
        )
    assert (tmp_path / f"{long}.safetensors").read_bytes() == (tmp_path / f"{short}.safetensors").read_bytes()
    assert "'float' is not one of" in fail(2, "fill", "msra", "--shape", "2", "--dtype", "float", "-o", "x.npy")


@pytest.mark.parametrize("filler", ["msra", "xavier", 'type: "gaussian" std: 1', "uniform", "positive_unitball"])
def test_a_blob_without_a_name_is_warned_of(filler: str) -> None:
    client = FillerClient.embedded()
    with pytest.warns(UnnamedBlobWarning, match="a blob without a name") as caught:
        client.fill(filler, (2, 3))
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    ("filler", "options"),
    [
        ("constant", {}),
        ("value: 3", {}),
        ("msra", {"name": "conv1/0"}),
        ("msra", {"name": ""}),
        ("msra", {"stream": "caffe"}),
    ],
)
def test_what_is_not_warned_of(filler: str, options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FillerClient.embedded().fill(filler, (2, 3), **options)


def test_a_blob_without_a_name_on_the_command_line(tmp_path: Path) -> None:
    def said(*options: str) -> bytes:
        return run("fill", *options, "--shape", "4,4", "-o", tmp_path / "out.npy").stderr

    assert b"--name tells blobs apart" in said("msra")
    assert said("msra", "--name", "conv1/0") == said("constant") == said("msra", "--stream", "caffe") == b""


def test_weights_with_commas(tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(NET)
    files = [tmp_path / name for name in ("one.npz", "two.npz", "a,b.npz")]
    for seed, file in enumerate(files):
        succeed("init", net, "--seed", seed, "-o", file)
    output = tmp_path / "out.npz"

    def weight(*weights: object) -> bytes:
        options = [part for value in weights for part in ("--weights", value)]
        succeed("init", net, *options, "-o", output)
        return np.load(output)["i/0"].tobytes()

    first, second, third = (np.load(file)["i/0"].tobytes() for file in files)
    assert weight(f"{files[0]},{files[1]}") == weight(f" {files[0]} , {files[1]} ,") == second
    assert weight(f"{files[1]},{files[0]}") == weight(files[1], files[0]) == first
    assert weight(files[2]) == third
    assert "File 'none.npz' does not exist" in fail(2, "init", net, "--weights", f"{files[0]},none.npz", "-o", output)
