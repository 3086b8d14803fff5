"""The net that a file of weights belongs to, on the command line."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from filler_client.cli.options import in_file, input_option, phase_option, stage_option, strictness_options

if TYPE_CHECKING:
    from caffe_filler.caffe.caffe_pb2 import NetParameter
    from filler_client import NetOptions
    from filler_server.net.plan import NetPlan

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes: 500MB, 5GB, 2GiB, 1000000."""

    name = "SIZE"
    _UNITS: Mapping[str, int] = {
        "": 1,
        **{f"{letter}B": 1000**power for power, letter in enumerate(("", "K", "M", "G", "T"))},
        **{f"{letter}IB": 1024**power for power, letter in enumerate(("K", "M", "G", "T"), start=1)},
    }

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        digits = value.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
        unit = self._UNITS.get(value[len(digits) :].strip().upper())
        if unit is None or not digits.isdecimal() or int(digits) == 0:
            self.fail(f"a size is like 500MB, 5GB or 2GiB. Received: {value}", param, ctx)
        return int(digits) * unit


max_shard_size_option = click.option(
    "--max-shard-size",
    type=Size(),
    help="Write a .safetensors that would be longer as several files with an index, e.g. 5GB.",
)


def weights_net_options(command: _Command) -> _Command:
    """Give a command the options that name the net of a file of weights."""
    for option in reversed(
        (
            click.option(
                "--net",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Net of the weights: prototxt, or a .caffemodel that describes it.",
            ),
            strictness_options[1],
            phase_option,
            stage_option,
            input_option,
        )
    ):
        command = option(command)
    return command


def read_net_of_weights(net: Path, options: "NetOptions") -> "NetPlan | NetParameter":
    """Return the plan of a net, worked out in this process; of a .caffemodel the layers that it describes.

    Raises:
        FillerError: it cannot be read or set up.
        OSError: it cannot be read.
    """
    from caffe_filler.errors import WeightsError
    from filler_client import _requests
    from filler_server.api import planning
    from filler_server.api.limits import UNLIMITED
    from filler_server.weights.opening import open_weights

    try:
        with open_weights(net) as weights:
            if weights.net is not None:
                return weights.net
    except WeightsError:
        # Then it is text, or something of which the reader of nets tells better what it is.
        pass
    with in_file(net):
        return planning.plan(_requests.plan_request(net, **options), UNLIMITED)
