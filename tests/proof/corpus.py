"""Nets of a folder in every runtime: exported and compared, or refused with the layers that stand in the way.

python -m tests.proof.corpus FOLDER [--settings FILE] [--only TEXT] [--output FILE]

Each net computes in a process of its own. FILE has for some nets, by a part of their paths, options of `ModelOptions`
where what is guessed does not do. A line of JSON is written for each net.
"""

import argparse
import ast
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Unpack

from caffe_filler.errors import FillerError
from filler_client import FillerClient, NetOptions, PartialShape, save_weights
from filler_client._models import ModelOptions
from filler_server.net.plan import Shape

_IMAGE = 224
_SECONDS = 900


def settled_inputs(net: Path, **options: Unpack[NetOptions]) -> dict[str, PartialShape]:
    """Return shapes for the inputs of a net: small batches where the net takes them, and images where it knows nothing.

    Args:
        net: the net.
        options: those with which it is planned; shapes in them count.

    Raises:
        FillerError: the net cannot be planned.
    """
    client = FillerClient.embedded()
    plan = client.plan_net(net, **options)
    shapes = {plan.top(value).name: plan.top(value).shape for value in plan.inputs}
    large = any(shape is None or (len(shape) > 3 and (shape[-1] or _IMAGE) > 100) for shape in shapes.values())
    small = {name: _guess(name, shape, 1 if large else 2) for name, shape in shapes.items()}
    unknown = {name: shape for name, shape in small.items() if None in (shapes[name] or (None,))}
    for given in (small, unknown):
        merged = {**given, **(options.get("inputs") or {})}
        try:
            client.plan_net(net, **{**options, "inputs": merged})  # type: ignore[arg-type]
        except FillerError:
            continue
        return merged
    return {**small, **(options.get("inputs") or {})}


def _guess(name: str, shape: Shape, batch: int) -> tuple[int, ...]:
    if shape is None:
        shape = (None,) if "label" in name else (None, None, None, None)
    known = [dim or fallback for dim, fallback in zip(shape[1:], (3, _IMAGE, _IMAGE, 1), strict=False)]
    return (batch, *known)


def try_net(net: Path, weights: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return what becomes of a net, as values that JSON can hold."""
    from tests.proof.weights import typical_weights

    found: dict[str, Any] = {"types": [], "trials": []}
    planned: NetOptions = {**given, "phase": "TEST"}  # type: ignore[typeddict-item]
    planned["inputs"] = {name: tuple(shape) for name, shape in given.get("inputs", {}).items()}
    try:
        inputs = planned["inputs"] = settled_inputs(net, **planned)
        plan = FillerClient.embedded().plan_net(net, **planned)
    except FillerError as error:
        return {**found, "unplanned": str(error)}
    found["types"] = sorted({layer.type for layer in plan.layers})
    found["inputs"] = {name: list(shape) for name, shape in inputs.items()}
    learns = any(layer.loss_weights and any(layer.loss_weights) for layer in plan.layers) or any(
        "Loss" in kind or kind == "Accuracy" for kind in found["types"]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = weights
        if path is None and plan.blobs:
            try:
                arrays = typical_weights(net, **planned)
            except FillerError as error:
                return {**found, "no_weights": str(error)}
            path = Path(folder) / "typical.caffemodel"
            try:
                save_weights(arrays, path, net=net)
            except FillerError:
                # Its shapes are known with those of its inputs alone.
                path = path.with_suffix(".npz")
                save_weights(arrays, path)
        for deploy in (False, True) if learns else (False,):
            found["trials"] += _trials(net, path, Path(folder), {**planned, "deploy": deploy})  # type: ignore[typeddict-item]
    return found


def _trials(net: Path, weights: Path | None, folder: Path, options: ModelOptions) -> list[dict[str, Any]]:
    """Return what comes of a net, and where it is refused of the tops before that."""
    first = _trial(net, weights, folder, options)
    told = {match for text in first["refusals"].values() for match in re.findall(r"tops=(\[.*?\])", text)}
    return [
        first,
        *(_trial(net, weights, folder, {**options, "tops": ast.literal_eval(tops)}) for tops in sorted(told)),
    ]


def _trial(net: Path, weights: Path | None, folder: Path, options: ModelOptions) -> dict[str, Any]:
    from tests.proof.comparison import compare

    told: dict[str, Any] = {"deploy": options.get("deploy"), "tops": options.get("tops"), "refusals": {}, "crashes": {}}
    begun = time.perf_counter()
    try:
        result = compare(net, weights, folder, opencv=not options.get("deploy"), **options)
    except FillerError as error:
        told["refusals"] = {"all": str(error)}
        return told
    except Exception:
        told["crashes"] = {"all": traceback.format_exc()}
        return told
    return {
        **told,
        "refusals": result.refusals,
        "crashes": result.crashes,
        "outputs": result.outputs,
        "flat": result.flat,
        "layers": result.layers,
        "worst": {
            one.runtime: [one.worst.value, one.worst.relative, len(one.differences)]
            for one in result.verifications
            if one.worst is not None
        },
        "failures": [
            [runtime, one.value, one.layer, one.type, one.relative, one.alone] for runtime, one in result.failures
        ],
        "seconds": result.seconds,
        "wall": time.perf_counter() - begun,
    }


def main() -> None:
    """Try all nets of a folder, or one in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--settings", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--output", type=Path, default=Path("corpus.jsonl"))
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        weights = given.one.pop("weights", None)
        found = try_net(given.folder, None if weights is None else Path(weights), given.one)
        found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        print(json.dumps(found))
        return
    settings: dict[str, dict[str, Any]] = json.loads(given.settings.read_text()) if given.settings else {}
    nets = sorted(path for path in given.folder.rglob("*") if path.suffix in (".prototxt", ".pt"))
    for net in nets:
        name = str(net.relative_to(given.folder))
        if given.only not in name:
            continue
        own = next((options for part, options in settings.items() if part in name), {})
        if own.get("skip"):
            continue
        command = [sys.executable, "-m", "tests.proof.corpus", str(net), "--one", json.dumps(own)]
        begun = time.perf_counter()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
            lines = done.stdout.strip().splitlines()
            found = json.loads(lines[-1]) if done.returncode == 0 and lines else {"died": done.stderr[-3000:]}
            if done.stderr and "died" not in found:
                found["stderr"] = done.stderr[-2000:]
        except subprocess.TimeoutExpired:
            found = {"died": f"more than {_SECONDS} s"}
        line = {"net": name, "seconds": time.perf_counter() - begun, **found}
        with given.output.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{name}: {line['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
