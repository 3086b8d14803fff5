"""Signal of a net as PyTorch computes it, over several seeds."""

from collections.abc import Mapping, Sequence
from math import isfinite
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from caffe_filler.errors import NetError
from filler_client._requests import NetLike, NetOptions

if TYPE_CHECKING:
    from filler_client._backend import Fill
    from filler_client._models import ModelOptions
    from filler_server.diagnostics.signal.data import InputStatistics
    from filler_server.diagnostics.signal.report import SignalReport
    from filler_server.net.plan import NetPlan, Value

_NUMBERS = ("mean", "variance", "mean_square", "gradient_mean_square", "zeros", "saturated", "dead")


def simulated(
    plan: "NetPlan", net: NetLike, options: NetOptions, fill: "Fill", inputs: "InputStatistics", seeds: int
) -> "SignalReport":
    """Return the signal of a net: means over seeds, and the standard deviation over them.

    For each seed there are other weights and other inputs, as `filler_server.models.samples` draws them by
    `numpy.random.default_rng(1000 + seed)`, and the net is run forward and backward once.

    Args:
        plan: the net.
        net: its prototxt or binary.
        options: those with which it was planned.
        fill: fills it.
        inputs: mean and standard deviation of inputs that are plain numbers.
        seeds: how many seeds; they are 1, 2, ...

    Raises:
        NetError: PyTorch has no counterpart of some layers.
        InvalidArgument: a blob cannot be filled.
    """
    from filler_server.diagnostics.signal.analysis import verdict
    from filler_server.diagnostics.signal.report import ParameterSignal, SignalReport, ValueSignal

    runs = [_Run(plan, net, options, fill, inputs, seed) for seed in range(1, seeds + 1)]
    values = []
    for value in runs[0].values:
        layer, top = plan.layers[value.layer], plan.top(value)
        means, spreads = _over_seeds([run.values[value] for run in runs], _NUMBERS)
        values.append(ValueSignal(value, layer.name, top.name, spread=spreads, **cast("dict[str, Any]", means)))
    parameters = []
    for name in runs[0].parameters:
        means, spreads = _over_seeds([run.parameters[name] for run in runs], ("mean_square", "gradient_mean_square"))
        parameters.append(ParameterSignal(name, spread=spreads, **means))
    notes = (
        []
        if any(any(layer.loss_weights) for layer in plan.layers)
        else ["Unknown: no layer is a loss, so that there is no gradient."]
    )
    return SignalReport(
        plan.name, plan.phase, tuple(values), tuple(parameters), verdict(plan, values), seeds, tuple(notes)
    )


def _over_seeds(
    runs: Sequence[Mapping[str, float | None]], names: Sequence[str]
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return the mean of each number over the runs, and the standard deviation; None where one is not known."""
    means: dict[str, float | None] = {}
    spreads: dict[str, float | None] = {}
    for name in names:
        numbers = [run.get(name) for run in runs]
        known = [number for number in numbers if number is not None and isfinite(number)]
        means[name] = fmean(known) if len(known) == len(numbers) else None
        spreads[name] = None if means[name] is None else stdev(known) if len(known) > 1 else 0.0
    return means, spreads


class _Run:
    """One pass forward and back.

    Attributes:
        values: numbers of each value, by their names.
        parameters: numbers of each blob that owns its values.
    """

    def __init__(
        self,
        plan: "NetPlan",
        net: NetLike,
        options: NetOptions,
        fill: "Fill",
        statistics: "InputStatistics",
        seed: int,
    ) -> None:
        from filler_client.torch import load_net
        from filler_server.models.graph import graph, value_names, wanted
        from filler_server.models.samples import sample_inputs
        from filler_server.models.sources import constant_inputs

        self._plan = plan
        self._has_loss = any(any(layer.loss_weights) for layer in plan.layers)
        names = value_names(plan)
        whole, constants = graph(plan, {}), constant_inputs(plan)
        computed = [name for value, name in names.items() if not plan.layers[value.layer].is_source]
        drawn = sample_inputs(whole, np.random.default_rng(1000 + seed), statistics.mean, statistics.std)
        arrays = {name: np.array(array, np.float32) for name, array in {**drawn, **constants}.items()}
        weights = dict(fill(net, seed=seed, **options)) if any(True for _ in plan.blobs) else {}
        module = load_net(net, weights or None, **_model_options(plan, options, computed))
        given = {name: torch.from_numpy(array).requires_grad_() for name, array in arrays.items()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            arguments = [name for name in wanted(whole, computed).inputs if name not in constants]
            try:
                tops: dict[str, Any] = module(*(given[name] for name in arguments))
            except (RuntimeError, ValueError) as error:
                # A normalization refuses one value for each channel by a ValueError.
                reason = str(error).splitlines()[0]
                raise NetError(f"PyTorch cannot compute the net: {reason}") from None
            self._lead_back(module, tops)
        tensors = {**given, **tops}
        self.values = {value: self._numbers(value, tensors[name]) for value, name in names.items()}
        self.parameters = self._blobs(module, weights)

    def _lead_back(self, module: Any, tops: Mapping[str, Any]) -> None:
        """Compute the gradient of the loss with respect to all that there is."""
        for top in tops.values():
            if top.requires_grad and not top.is_leaf:
                top.retain_grad()
        if self._has_loss and (loss := module.loss(tops)).requires_grad:
            loss.backward()

    def _numbers(self, value: "Value", tensor: Any) -> dict[str, float | None]:
        """Return the numbers of a value."""
        from filler_server.net.operations.activations import ReLU, Sigmoid, TanH

        operation = self._plan.layers[value.layer].operation
        array = tensor.detach().numpy().astype(np.float64)
        if not array.size:
            return {}
        numbers: dict[str, float | None] = {
            "mean": float(array.mean()),
            "variance": float(array.var()),
            "mean_square": float(np.square(array).mean()),
            "zeros": float((array == 0).mean()),
        }
        if self._has_loss:
            gradient = None if tensor.grad is None else tensor.grad.numpy().astype(np.float64)
            numbers["gradient_mean_square"] = 0.0 if gradient is None else float(np.square(gradient).mean())
        if isinstance(operation, Sigmoid):
            numbers["saturated"] = float(((array < 0.01) | (array > 0.99)).mean())
        elif isinstance(operation, TanH):
            numbers["saturated"] = float((np.abs(array) > 0.99).mean())
        elif isinstance(operation, ReLU) and operation.negative_slope == 0 and array.ndim > 1:
            others = tuple(axis for axis in range(array.ndim) if axis != 1)
            numbers["dead"] = float((array == 0).all(others).mean())
        return numbers

    def _blobs(self, module: Any, weights: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, float | None]]:
        """Return the numbers of the blobs; statistics of a BatchNorm have no gradient."""
        gradients = self._gradients(module)
        numbers: dict[str, dict[str, float | None]] = {}
        for blob in self._plan.blobs:
            if blob.owner is not None or blob.name not in weights:
                continue
            square = float(np.square(weights[blob.name].astype(np.float64)).mean()) if weights[blob.name].size else None
            numbers[blob.name] = {"mean_square": square, "gradient_mean_square": gradients.get(blob.name)}
        return numbers

    def _gradients(self, module: Any) -> dict[str, float | None]:
        """Return the mean square of the gradient of each blob, brought from the layout of PyTorch to that of Caffe."""
        from filler_server.layouts.torch import from_torch
        from filler_server.net.operations.normalization import BatchNorm
        from filler_server.tensors import ArrayTensor

        if not self._has_loss:
            return {}
        entries = []
        for name, entry in module.state_dict(keep_vars=True).items():
            if entry.is_floating_point():
                gradient = np.zeros(entry.shape, np.float32) if entry.grad is None else entry.grad.numpy()
                # Caffe has one bias of a recurrent layer, PyTorch the sum of two.
                entries.append(ArrayTensor(name, gradient * 0 if name.endswith(".bias_hh_l0") else gradient))
        statistics = {
            blob.name for layer in self._plan.layers if isinstance(layer.operation, BatchNorm) for blob in layer.blobs
        }
        return {
            tensor.name: float(np.square(tensor.array().astype(np.float64)).mean())
            for tensors in from_torch(self._plan.layers, entries).layers.values()
            for tensor in tensors
            if tensor.name not in statistics and tensor.count
        }


def _model_options(plan: "NetPlan", options: NetOptions, tops: Sequence[str]) -> "ModelOptions":
    """Return the options of a model that is the net of a plan and returns some of its values."""
    shapes = {plan.top(value).name: plan.top(value).shape for value in plan.inputs}
    return {
        "tops": tops,
        "phase": cast("Any", plan.phase),
        "level": options.get("level", 0),
        "stages": options.get("stages", ()),
        "strict": options.get("strict", False),
        "lenient": options.get("lenient", False),
        "inputs": {name: shape for name, shape in shapes.items() if shape is not None},
    }
