"""`filler report`."""

from pathlib import Path

from filler_client import FillerClient
from tests.client.cli.command import fail, succeed

NET = """layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 5] } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""


def test_a_page_and_its_figures(tmp_path: Path) -> None:
    net, page, figures = (tmp_path / name for name in ("net.prototxt", "page.html", "figures"))
    net.write_text(NET)
    assert succeed("report", net, "--seed", 5, "-o", page, "--png", figures).decode().splitlines() == [
        str(page),
        f"{figures}: 3 figures",
    ]
    assert "filled with seed 5, philox, float32" in page.read_text()
    assert sorted(path.name for path in figures.iterdir()) == [
        "001-ip_0-histogram-1.png",
        "001-ip_0-values-1.png",
        "signal-forward.png",
    ]


def test_two_files_without_a_net_are_compared(tmp_path: Path) -> None:
    net, first, second = (tmp_path / name for name in ("net.prototxt", "a.caffemodel", "b.caffemodel"))
    net.write_text(NET)
    for seed, path in enumerate((first, second)):
        FillerClient.embedded().save_net(net, path, seed=seed)
    succeed("report", "--weights", first, "--against", second, "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Blobs of a.caffemodel" in page
    assert "Blobs of b.caffemodel" in page


def test_wrong_usage(tmp_path: Path) -> None:
    assert "give a net" in fail(2, "report")
    (tmp_path / "net.prototxt").write_text("layer {")
    page = tmp_path / "page.html"
    assert "net.prototxt" in fail(1, "report", tmp_path / "net.prototxt", "-o", page)
    assert not page.exists()
