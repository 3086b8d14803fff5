"""The project's own nets in every runtime: a table of errors, times and sizes.

python -m tests.proof.nets [NAME ..]
"""

import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filler_client import PartialShape, save_weights
from tests.proof.comparison import Comparison, compare
from tests.proof.weights import typical_weights

NETS = Path(__file__).resolve().parents[1] / "nets"


@dataclass(frozen=True)
class Trial:
    """A net as it is tried.

    Attributes:
        name: of its file.
        inputs: shapes of its inputs, where they are not those of the net.
        deploy: whether its losses give way to predictions.
        large: whether it takes long.
    """

    name: str
    inputs: Mapping[str, PartialShape] = field(default_factory=dict)
    deploy: bool = False
    large: bool = False


def _image(size: int, batch: int = 1) -> dict[str, PartialShape]:
    return {"data": (batch, 3, size, size)}


TRIALS = [
    Trial("lenet", {"data": (2, 1, 28, 28)}),
    Trial("lenet_train_test", {"data": (2, 1, 28, 28), "label": (2,)}, deploy=True),
    Trial("cifar10_quick_train_test", {**_image(32, 2), "label": (2,)}, deploy=True),
    Trial("cifar10_full_train_test", {**_image(32, 2), "label": (2,)}, deploy=True),
    Trial("caffenet_deploy", _image(227), large=True),
    Trial("caffenet", {**_image(227), "label": (1,)}, deploy=True, large=True),
    Trial("alexnet_deploy", _image(227), large=True),
    Trial("alexnet", {**_image(227), "label": (1,)}, deploy=True, large=True),
    Trial("googlenet_deploy", _image(224), large=True),
    Trial("googlenet_train_val", {**_image(224), "label": (1,)}, deploy=True, large=True),
    Trial("vgg16_deploy", _image(224), large=True),
    Trial("vgg16_train_val", {**_image(224), "label": (1,)}, deploy=True, large=True),
    Trial("resnet50", _image(224), large=True),
    Trial("resnet101", _image(224), large=True),
    Trial("resnet152", _image(224), large=True),
    Trial("squeezenet_v1_0", _image(227), large=True),
    Trial("squeezenet_v1_1_deploy", _image(227)),
    Trial("squeezenet_v1_1_train_val", {**_image(227), "label": (1,)}, deploy=True, large=True),
    Trial("mobilenet_v1", _image(224)),
    Trial("fcn32s", _image(96), large=True),
    Trial("fcn8s", _image(96), large=True),
    Trial("siamese_mnist", {"pair_data": (2, 2, 28, 28), "sim": (2,)}, deploy=True),
    Trial("mnist_autoencoder", {"data": (2, 1, 28, 28)}, deploy=True),
    Trial("lrcn_caption", large=True),
    Trial("char_rnn", {"character": (10, 4), "cont": (10, 4), "h_before": (1, 4, 512)}),
    Trial("crnn_static_lstm", large=True),
    Trial("in_place"),
    Trial("shared_three_ways"),
    Trial("prelu"),
    Trial("scale"),
    Trial("bias"),
    Trial("parameter"),
    Trial("embed"),
    Trial("inline_blobs"),
]


def try_net(trial: Trial) -> Comparison:
    """Return what each runtime makes of a net; OpenCV is asked where it need not know what predicts."""
    net = NETS / f"{trial.name}.prototxt"
    arrays = typical_weights(net, inputs=trial.inputs)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "typical.caffemodel" if arrays else None
        if weights is not None:
            save_weights(arrays, weights, net=net)
        options = {"inputs": trial.inputs, "deploy": trial.deploy}
        return compare(net, weights, Path(folder), opencv=not trial.deploy, **options)  # type: ignore[arg-type]


def main(names: Iterable[str]) -> None:
    """Print a line for each net, of all or some."""
    runtimes = ("ONNX Runtime", "PyTorch", "net.py", "OpenCV")
    columns = [
        *runtimes,
        "worst of all values",
        "MB",
        "export .onnx",
        "export .py",
        *(f"run {one}" for one in runtimes),
    ]
    print(f"| net | layers | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}")
    wanted = set(names)
    for trial in TRIALS:
        if wanted and trial.name not in wanted:
            continue
        result = try_net(trial)
        errors = {name.partition(" ")[0]: f"{error:.1e}" for name, error in result.outputs.items()}
        seconds = {name.partition(" ")[0]: f"{time:.2f} s" for name, time in result.seconds.items()}
        found = [(one.worst, one.runtime) for one in result.verifications if one.worst is not None]
        worst = max(found, key=lambda each: each[0].relative)
        cells = [errors.get(one.partition(" ")[0], "-") for one in runtimes]
        cells += [
            f"{worst[0].relative:.1e} ({worst[1].partition(' ')[0]}, {worst[0].type})",
            f"{result.nbytes / 1e6:.1f}",
        ]
        cells += [seconds.get("onnx", "refused"), seconds.get("py", "refused")]
        cells += [seconds.get(one.partition(" ")[0], "-") for one in runtimes]
        print(f"| {trial.name} | {result.layers} | {' | '.join(cells)} |", flush=True)
        notes = {**result.refusals, **result.crashes}
        notes.update((f"{runtime}: {one.value}", f"WRONG by {one.relative:.1e}") for runtime, one in result.failures)
        notes.update((output, "all values are the same") for output in result.flat)
        for what, why in notes.items():
            print(f"{trial.name}: {what}: {why}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
