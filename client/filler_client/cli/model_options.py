"""Options of the verbs about nets that compute, and the net and weights that they mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast

import click

from filler_client.cli.options import Paths, flat_paths, stage_option, strictness_options
from filler_client.cli.weights_net import reshape_option

if TYPE_CHECKING:
    from filler_client import NetOptions
    from filler_client._models import Model, ModelOptions
    from filler_client.cli.sources import NetSource

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FILE: Any = click.Path(exists=True, dir_okay=False, path_type=Path)


class Given(TypedDict):
    """Options that `model_options` gives a command, but those that it declares itself."""

    net: Path | None
    solver: Path | None
    test_net: int | None
    weights: tuple[Path, ...]
    tops: tuple[str, ...]
    deploy: bool
    reshape: bool
    phase: str
    level: int
    stages: Sequence[str]
    strict: bool
    lenient: bool


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A net, its weights, and the options with which they are opened.

    Attributes:
        source: the net.
        weights: files of weights; None: those of the net itself.
        options: for `open_model`, but for the shapes of inputs.
    """

    source: "NetSource"
    weights: tuple[Path, ...] | None
    options: "ModelOptions"

    @property
    def net(self) -> Path | bytes:
        """The file of the net, or the net itself where it stands in a solver."""
        return self.source.label if self.source.label.is_file() else self.source.data


def model_options(command: _Command) -> _Command:
    """Give a command the net, the weights and the state that it is about, and the tops that are wanted."""
    for option in reversed(
        (
            click.argument("net", required=False, type=_FILE),
            click.option(
                "--weights",
                multiple=True,
                type=Paths(),
                callback=flat_paths,
                help="Trained weights of any format; repeatable or with commas, the last one that has a layer counts.  "
                "[default: those in NET itself]",
            ),
            click.option(
                "--top",
                "tops",
                multiple=True,
                metavar="NAME",
                help="Top to compute, also in the middle of the net; repeatable.  [default: those that no layer reads]",
            ),
            click.option(
                "--deploy",
                is_flag=True,
                help="Put predictions in place of losses, and leave out labels and accuracies.",
            ),
            reshape_option,
            click.option(
                "--solver",
                type=_FILE,
                help="Take the net, its state and its weights from a solver, in place of NET: its test net, or with "
                "--phase TRAIN its train net.",
            ),
            click.option(
                "--test-net", type=click.IntRange(0), metavar="K", help="With --solver: which test net, from 0."
            ),
            click.option(
                "--phase",
                type=click.Choice(["TRAIN", "TEST"], case_sensitive=False),
                default="TEST",
                show_default=True,
                help="Phase by which layers are included and excluded, and in which they compute.",
            ),
            click.option("--level", type=int, default=0, show_default=True, help="Level of the net's state."),
            stage_option,
            *strictness_options,
        )
    ):
        command = option(command)
    return command


def model_source(
    *,
    net: Path | None,
    solver: Path | None,
    test_net: int | None,
    weights: tuple[Path, ...],
    tops: tuple[str, ...],
    deploy: bool,
    reshape: bool,
    phase: str,
    level: int,
    stages: Sequence[str],
    strict: bool,
    lenient: bool,
) -> ModelSource:
    """Return the net and the weights that the options of a command mean.

    Raises:
        click.UsageError: not exactly one net is named.
        FillerError: the solver cannot be read, or Caffe would refuse it.
        OSError: a file cannot be read.
    """
    from filler_client.cli.sources import choose, net_sources, settle_weights

    training = phase.upper() == "TRAIN"
    if test_net is not None and (solver is None or training):
        raise click.UsageError("--test-net goes with --solver, and not with --phase TRAIN.")
    state: NetOptions = {
        "phase": "TRAIN" if training else "TEST",
        "level": level,
        "stages": stages,
        "strict": strict,
        "lenient": lenient,
    }
    sources = net_sources(net, solver, state, phase_chooses=True)
    if solver is not None and not training and len(sources.nets) == 1:
        raise click.UsageError(f"{solver} has no test net; --phase TRAIN takes its train net.")
    index = None if solver is None or training else test_net or 0
    source, _ = choose(sources, index)
    found = settle_weights(sources, weights, solver)
    options = {**source.options, "tops": tops or None, "deploy": deploy, "reshape": reshape}
    return ModelSource(source, found or None, cast("ModelOptions", options))


def print_model_notes(model: "Model", label: Path) -> None:
    """Print what is to be told of a model to standard error: warnings of its net, and weights that it does not take."""
    from filler_client.cli.terminal import print_line, print_warnings

    print_warnings(model.plan.warnings, label)
    if model.unused:
        names = ", ".join(tensor.name for tensor in model.unused[:8])
        more = f" and {len(model.unused) - 8} more" if len(model.unused) > 8 else ""
        print_line(f"{label}: note: no layer of the net takes these of the weights: {names}{more}", err=True)
