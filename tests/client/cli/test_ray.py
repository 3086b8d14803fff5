"""Refusals of `filler init --ray` before any cluster is asked."""

import sys
from pathlib import Path
from typing import Any

import click
import pytest

from caffe_filler.errors import InvalidArgument, Unavailable
from caffe_filler.interface import interface
from filler_client.cli.main import filler

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 8] } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Those of a set that could be written, where Ray is not installed."""
    # None: importing it fails as that of a module that is not there.
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "filler_client.ray", raising=False)
    net = tmp_path / "net.prototxt"
    net.write_text(NET)
    return ["init", str(net), "-o", str(tmp_path / "w.safetensors"), "--max-shard-size", "20B"]


def run(*arguments: object) -> Any:
    with interface("cli"):
        return filler.main([*map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--part", "1/2"], "leave --part and --finish out"),
        (["--finish"], "leave --part and --finish out"),
        (["--server", "localhost:1"], "leave --server and FILLER_SERVER out"),
        (["--weights", "{net}"], "--ray only fills"),
        (["--jobs", "2"], "go with one net"),
    ],
    ids=str,
)
def test_what_a_cluster_does_not_do_is_refused(
    arguments: list[str], options: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(click.UsageError, match=message):
        run(*arguments, "--ray", "host:6379", *(option.format(net=arguments[1]) for option in options))
    assert [path.name for path in tmp_path.iterdir()] == ["net.prototxt"]


def test_without_ray_it_says_what_to_install(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"^--ray needs ray: pip install 'caffe-filler\[ray\]'$"):
        run(*arguments, "--ray")
    assert [path.name for path in tmp_path.iterdir()] == ["net.prototxt"]


@pytest.mark.frameworks
@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("host", InvalidArgument, "like host:6379.*Received: --ray host$"),
        ("ray://host:10001", InvalidArgument, "like host:6379"),
        ("host:", InvalidArgument, "like host:6379"),
        ("host:70000", InvalidArgument, "like host:6379"),
        ("host:³", InvalidArgument, "like host:6379"),
        ("127.0.0.1:1", Unavailable, "no Ray cluster answers: .*refused. Received: --ray 127.0.0.1:1$"),
        ("no..such:6379", Unavailable, "no Ray cluster answers: "),
    ],
)
def test_where_no_cluster_can_be_is_refused(
    arguments: list[str],
    address: str,
    kind: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "ray")
    pytest.importorskip("ray")
    with pytest.raises(kind, match=message):
        run(*arguments, "--ray", address)
    assert [path.name for path in tmp_path.iterdir()] == ["net.prototxt"]


@pytest.mark.frameworks
def test_one_file_is_not_divided(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ray")
    pytest.importorskip("ray")
    with pytest.raises(InvalidArgument, match=r"only a .safetensors with .* is divided"):
        run(*arguments[:-2], "--ray", "127.0.0.1:1")
    assert [path.name for path in tmp_path.iterdir()] == ["net.prototxt"]
