"""The nets that a command is about: a file, or those that a solver means."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caffe_filler.caffe.caffe_pb2 import Phase
from caffe_filler.files import read_file
from filler_client import NetOptions
from filler_client._requests import MOST_FILE_BYTES, net_file
from filler_client._solver_files import find
from filler_client.cli.options import in_file
from filler_client.cli.terminal import print_line, print_warnings

if TYPE_CHECKING:
    from filler_server.prototxt.solver import NetChoice


@dataclass(frozen=True, slots=True)
class NetSource:
    """A net and the state in which it is wanted.

    Attributes:
        label: what to call it in messages: its path, or where in the solver it stands.
        data: its text or binary.
        options: what a plan depends on besides.
    """

    label: Path
    data: bytes
    options: NetOptions


@dataclass(frozen=True, slots=True)
class Sources:
    """The nets of a command in the order in which Caffe makes them, and what a solver sets besides.

    Attributes:
        nets: the nets.
        seed: the seed that a solver sets.
        weights: trained weights that a solver has each of its nets start from, as it names their files.
    """

    nets: Sequence[NetSource]
    seed: int | None = None
    weights: tuple[str, ...] = ()


def net_sources(net: Path | None, solver: Path | None, options: NetOptions, *, phase_chooses: bool = False) -> Sources:
    """Return the net of a file, or the nets of a solver: its train net, then its test nets.

    Args:
        net: the net.
        solver: the solver.
        options: the state in which a net is wanted, and the like.
        phase_chooses: whether the phase TEST stands for a test net of a solver.

    Raises:
        click.UsageError: not exactly one of the two is given, or a phase that a solver's nets do not have.
        FillerError: the solver cannot be read, or Caffe would refuse it.
        OSError: a file cannot be read.
    """
    if (net is None) == (solver is None):
        raise click.UsageError("give a net, or --solver and a solver: exactly one of the two.")
    if net is not None:
        return Sources([NetSource(net, net_file(net), options)])
    assert solver is not None  # noqa: S101 - for the type checker
    if options.get("phase") == "TEST" and not phase_chooses:
        raise click.UsageError("--phase TEST goes with NET: the nets of a solver have phases of their own.")
    from filler_server.prototxt import read_solver
    from filler_server.prototxt.solver import solver_nets

    with in_file(solver):
        document = read_solver(
            read_file(solver, MOST_FILE_BYTES),
            strict=options.get("strict", False),
            lenient=options.get("lenient", False),
        )
        print_warnings(document.problems, solver)
        train_state = document.solver.train_state
        train_state.level = options.get("level", 0)
        train_state.stage.extend(options.get("stages", ()))
        nets = solver_nets(document.solver)
    sources = [_source(choice, solver, options) for choice in (nets.train, *nets.tests)]
    return Sources(sources, nets.seed, nets.weights)


def choose(sources: Sources, test_net: int | None) -> tuple[NetSource, Sequence[NetSource]]:
    """Return the net to fill, the first or that test net, and the nets that Caffe makes before it.

    Raises:
        click.UsageError: there is no such test net.
    """
    index = 0 if test_net is None else test_net + 1
    if index >= len(sources.nets):
        raise click.UsageError(f"there are {len(sources.nets) - 1} test nets. Received: --test-net {test_net}")
    return sources.nets[index], sources.nets[:index]


def settle_seed(sources: Sources, seed: int | None, solver: Path | None) -> int:
    """Return the seed of the command line, else the solver's, else 0."""
    if seed is not None:
        return seed
    if solver is not None and sources.seed is None:
        print_line(f"{solver}: no random_seed, so that Caffe would start at random: the seed is 0 here", err=True)
    return sources.seed or 0


def settle_weights(sources: Sources, weights: tuple[Path, ...], solver: Path | None) -> tuple[Path, ...]:
    """Return the trained weights of the command line, else the solver's.

    Raises:
        OSError: a file of the solver's is not there.
    """
    return weights or tuple(_find(path, solver) for path in sources.weights if solver is not None)


def _source(choice: "NetChoice", solver: Path, options: NetOptions) -> NetSource:
    from filler_server.prototxt import read_net

    if isinstance(choice.source, str):
        label = _find(choice.source, solver)
        data = net_file(label)
        with in_file(label):
            own = read_net(data, lenient=True).net.state
    else:
        label = Path(f"{solver}:{choice.field}")
        data, own = choice.source.SerializeToString(), choice.source.state
    state = choice.state(own)
    settled: NetOptions = {
        **options,
        "phase": "TRAIN" if state.phase == Phase.Value("TRAIN") else "TEST",
        "level": state.level,
        "stages": list(state.stage),
    }
    return NetSource(label, data, settled)


@cache
def _find(path: str, solver: Path) -> Path:
    """Return the path of a file that a solver names, and say so where another one of that name is taken."""
    found, beside = find(path, solver)
    if beside:
        print_line(f"{solver}: note: there is no {path}, and so {found} is taken", err=True)
    return found
