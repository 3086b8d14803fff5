"""The page about a net and its weights."""

import re
import shlex
import shutil
import subprocess
import sys
from html import escape, unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import filler_client
from caffe_filler.errors import InvalidArgument, NetError, Unavailable
from filler_client import FillerClient, Report
from tests.client.cli.command import succeed
from tests.client.page import Page

NET = """name: "small </title><script>alert(1)</script>"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 9, 9] } } }
# <script>alert(2)</script>
layer { name: "conv<script>alert(3)</script>" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "msra" std: 3 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip\\" onload=\\"alert(4)" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 6 weight_filler { type: "gaussian" std: 1e-6 sparse: 3 }
    bias_filler { type: "uniform" min: -1 max: 1 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: [2] } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
CONV, IP = "conv<script>alert(3)</script>", 'ip" onload="alert(4)'


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    return {name: np.array(values) for name, values in FillerClient.embedded().init_net(NET, seed=7).items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Report:
    path = tmp_path_factory.mktemp("nets") / "a net.prototxt"
    path.write_text(NET)
    return filler_client.report(path, seed=7, stream="caffe")


def check_page(html: str) -> Page:
    """Hold a page to what readers, browsers and screen readers need."""
    assert html.startswith("<!DOCTYPE html>")
    page = Page(html)
    assert page.unclosed == []
    assert not page.all("script", "iframe", "object", "embed", "form", "base")
    assert not [
        name for _, attributes in page.elements for name in attributes if name.startswith("on") or name == "style"
    ]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.all("a"):
        target = attributes["href"]
        assert target is not None
        assert target[0] == "#"
        assert target[1:] in ids
    for attributes in page.all("img", "link"):
        address = attributes.get("src") or attributes["href"]
        assert address is not None
        assert address.startswith("data:")
    assert all(attributes.get("alt") for attributes in page.all("img"))
    assert all(attributes.get("scope") for attributes in page.all("th"))
    assert len(page.all("table")) == len(page.all("caption"))
    assert [len(page.all(tag)) for tag in ("title", "h1", "main", "nav", "header", "footer")] == [1] * 6
    assert page.all("html")[0]["lang"] == "en"
    (policy,) = (meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    return page


def test_the_page_of_a_net(made: Report) -> None:
    page = check_page(made.html)
    sections = [attributes["id"] for attributes in page.all("h2")]
    assert sections == ["weights", "findings", "layers", "signal", "distributions", "source"]
    assert escape(CONV) in made.html
    assert "filled with seed 7, caffe, float32" in made.html
    assert re.search(r"filler init &#39;.*a net.prototxt&#39; --seed 7 --stream caffe", made.html)
    assert re.search(r'href="#line-5">line 5</a></td><th scope="row">FIL\d{3}', made.html)
    assert 'href="#line-4"' in made.html
    assert len(page.all("li")) == NET.count("\n") + 1 + len(sections)
    assert set(made.figures) == {
        "signal-forward",
        "signal-backward",
        *(f"001-conv_script_alert_3_script_{kind}" for kind in ("0-histogram-1", "0-values-1")),
        *(
            f"{card}-{kind}"
            for card in ("002-ip_onload_alert_4_0", "003-ip_onload_alert_4_1")
            for kind in ("histogram-1", "values-1")
        ),
    }


def test_figures_are_written_one_by_one(made: Report, tmp_path: Path) -> None:
    paths = made.save_figures(tmp_path / "new" / "figures")
    assert sorted(paths) == sorted((tmp_path / "new" / "figures").iterdir())
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    made.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == made.html


def test_the_same_report_is_the_same_page(made: Report) -> None:
    again = filler_client.report(NET, seed=7, stream="caffe")
    images = re.findall(r"data:image[^\"]+", made.html)
    assert images == re.findall(r"data:image[^\"]+", again.html)
    assert len(images) == len(made.figures)
    assert "filler init" not in again.html


def test_two_sets_of_weights_stand_side_by_side(weights: dict[str, Any]) -> None:
    other = {name: values + np.float32(1) for name, values in weights.items()}
    found = filler_client.report(NET, weights, against=other)
    check_page(found.html)
    assert "001-conv_script_alert_3_script_0-histogram-2" in found.figures
    assert "Blobs of given arrays" in found.html
    assert 'class="moved"' in found.html


def test_weights_that_no_net_tells_of_and_odd_values() -> None:
    values = {
        "nan": np.array([[np.nan, np.inf], [1, -np.inf]], np.float32),
        "all nan": np.full((3, 3, 2, 2), np.nan, np.float32),
        "huge": np.array([1e308, -1e308, 0]),
        "empty": np.zeros((0, 4), np.float32),
        "one": np.float32([2]),
        "near": np.nextafter(np.full(9, 1.0), np.arange(9) % 2 * 2),
        "$x_{": np.arange(24, dtype=np.float16).reshape(2, 3, 2, 2),
        "\x1b[31m\u202e": np.arange(5.0),
    }
    found = filler_client.report(weights=values)
    page = check_page(found.html)
    assert [attributes["id"] for attributes in page.all("h2")] == ["weights", "distributions"]
    assert "\x1b" not in found.html
    assert "\u202e" not in found.html


def test_the_command_makes_the_same_weights(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "d" type: "Data" top: "d" top: "l" data_param { batch_size: 2 } '
        'include { phase: TEST stage: "s" } } '
        'layer { name: "i" type: "InnerProduct" bottom: "d" top: "i" inner_product_param { num_output: 3 } }'
    )
    found = filler_client.report(
        path,
        seed=5,
        stream="caffe-1.56",
        dtype=np.float64,
        data_draws=0,
        phase="test",
        stages=["s"],
        inputs={"d": (2, 4)},
        fillers={"i/0": 'type: "gaussian" std: 2'},
    )
    ((_, command),) = re.findall(r"<pre class=(.)command.><code>(.*)</code>", found.html)
    words = shlex.split(unescape(command))
    assert words[:2] == ["filler", "init"]
    done = succeed(*words[1:-1], tmp_path / "weights.safetensors")
    assert b"12 parameters" in done or b"15 parameters" in done
    written = filler_client.check(
        path, tmp_path / "weights.safetensors", phase="test", stages=["s"], inputs={"d": (2, 4)}
    )
    shown = re.search(r'i/0</th><td>.*?</td><td>.*?</td>\n<td class="right">(.*?)</td>', found.html)
    assert shown is not None
    assert written["i/0"].figures is not None
    assert written["i/0"].figures.mean == pytest.approx(float(shown[1]), rel=1e-3)
    assert written["i/0"].dtype == "float64"


def test_what_cannot_be_reported() -> None:
    with pytest.raises(InvalidArgument, match="nothing to show"):
        filler_client.report()
    with pytest.raises(NetError):
        filler_client.report('layer { name: "a" type: "ReLU" bottom: "none" top: "b" }')
    with pytest.raises(TypeError, match=r"sed.*seed"):
        filler_client.report(NET, sed=1)  # type: ignore[call-arg]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("filler_server.diagnostics.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(Unavailable, match=r"a report needs jinja2: pip install 'caffe-filler\[report\]'"):
        filler_client.report(NET)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_the_page_fits_wide_and_narrow_windows(made: Report, tmp_path: Path) -> None:
    frames = "".join(
        f'<iframe width="{width}" height="800" style="border: 0" srcdoc="{escape(made.html)}"></iframe>'
        for width in (1280, 400)
    )
    script = """onload = () => { document.body.textContent = [...document.querySelectorAll("iframe")].map(frame => {
        const page = frame.contentDocument;
        const broken = [...page.images].filter(image => !image.naturalWidth).length;
        return [frame.width, page.documentElement.scrollWidth, broken, getComputedStyle(page.body).margin].join(" ");
    }).join(";"); };"""
    (tmp_path / "frames.html").write_text(f"<script>{script}</script><body>{frames}</body>")
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command += ["--enable-logging=stderr", "--dump-dom", (tmp_path / "frames.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "1280 1280 0 0px;400 400 0 0px" in done.stdout
    assert ":CONSOLE" not in done.stderr
