"""Planning: prototxt to shapes, against protobuf's own parser of the same text; and what theory says of the plan."""

from collections.abc import Callable, Mapping, Sequence

from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import NetParameter
from filler_client import FillerClient
from filler_server.diagnostics.signal.analysis import signal
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Comparison, Results, Run, timed
from tests.benchmarks.statistics import alternate
from tests.benchmarks.tables import KIB, Table, with_quartiles
from tests.benchmarks.workers import ROOT

SECTION = "Planning"

FILES = {
    "LeNet": "lenet.prototxt",
    "CaffeNet": "caffenet.prototxt",
    "VGG-16": "vgg16_train_val.prototxt",
    "GoogLeNet": "googlenet_train_val.prototxt",
    "ResNet-50": "resnet50.prototxt",
    "ResNet-101": "resnet101.prototxt",
    "ResNet-152": "resnet152.prototxt",
}

INPUTS = {
    "CaffeNet": {"data": (256, 3, 227, 227)},
    "VGG-16": {"data": (64, 3, 224, 224)},
    "GoogLeNet": {"data": (32, 3, 224, 224)},
}
"""Shapes of the data of nets that read it from files."""

LARGEST = 5342
"""Layers of the largest net that is known."""

PLAN, READ, PARSE, SIGNAL = "plan", "read", "text_format.Parse", "signal"

SIGNAL_TARGETS = {"ResNet-152": 50.0, "CaffeNet": 10.0}
"""Milliseconds that the signal of each should take at most."""


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Plan every net."""
    table = Table(
        "Milliseconds in a process that is warm",
        ["net", "layers", "KiB of text", PLAN, f"of it {READ}", PARSE, f"{PLAN} / {PARSE}", SIGNAL],
        notes=[
            f"{READ}: text to a NetParameter in the current format, with the line of every layer and a report of what "
            "is unknown; plan: that, state rules and every shape. text_format.Parse is protobuf's own parser.",
            f"{SIGNAL}: sizes of all values in theory, and with a loss those of gradients, of a plan that is there.",
        ],
    )
    sources = {name: (ROOT / "tests" / "nets" / file).read_bytes() for name, file in FILES.items()}
    sources[f"{LARGEST:,} layers"] = _chain(LARGEST)
    for name, source in sources.items():
        say(name)
        works = _works(source, INPUTS.get(name, {}))
        for work in works.values():
            work()
        runs, failed = alternate(works, effort.plan_rounds)
        comparison = Comparison(SECTION, (name,), 1, runs, failed)
        results.comparisons.append(comparison)
        layers = str(len(read_net(source).net.layer))
        ratio = comparison.faster(PARSE, PLAN)
        times = {work: with_quartiles(comparison.seconds(work).scaled(1000)) for work in works}
        table.add(
            name,
            layers,
            f"{len(source) / KIB:.0f}",
            *(times[work] for work in (PLAN, READ, PARSE)),
            "-" if ratio is None else with_quartiles(ratio),
            times[SIGNAL],
        )
    results.tables.append((SECTION, table))


def _works(source: bytes, inputs: Mapping[str, Sequence[int]]) -> dict[str, Callable[[], Run]]:
    plan = FillerClient.embedded().plan_net(source, inputs=inputs)
    return {
        PLAN: timed(lambda: plan_net(read_net(source))),
        READ: timed(lambda: read_net(source)),
        PARSE: timed(lambda: text_format.Parse(source, NetParameter())),
        SIGNAL: timed(lambda: signal(plan)),
    }


def _chain(layers: int) -> bytes:
    """The text of a net of so many layers: convolutions, each after the one before."""
    head = 'layer { name: "conv0" type: "Input" top: "conv0" input_param { shape { dim: [1, 64, 56, 56] } } }\n'
    return head.encode() + b"".join(
        (
            f'layer {{\n  name: "conv{index}"\n  type: "Convolution"\n  bottom: "conv{index - 1}"\n'
            f'  top: "conv{index}"\n  param {{ lr_mult: 1 decay_mult: 1 }}\n  convolution_param {{\n'
            '    num_output: 64  kernel_size: 3  pad: 1\n    weight_filler { type: "msra" }\n  }\n}\n'
        ).encode()
        for index in range(1, layers)
    )
