"""`filler verify`: whether files of weights are what their manifests say."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from filler_client.cli.options import Server, server_option

if TYPE_CHECKING:
    from filler_client import Verification
    from filler_server.weights.verification import Verified


@click.command()
@click.argument("weights", metavar="FILE|DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Manifest to hold the files to.  [default: that in a .safetensors, or beside a file]",
)
@click.option(
    "--net",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --server: net of the manifest, which Caffe's random numbers need.",
)
@click.option("--all", "show_all", is_flag=True, help="Print equal tensors too.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status tells.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_option
def verify(
    weights: Path,
    manifest: Path | None,
    net: Path | None,
    show_all: bool,
    quiet: bool,
    as_json: bool,
    server: Server,
) -> None:
    """Compare the tensors of FILE, or of the files in DIR, with the digests of their manifests.

    `filler init` and `filler convert` put a manifest into each .safetensors, and beside any file with --manifest. What
    differs, is missing or is there besides is named, and the exit status is 1 then. A digest is a sum over all elements
    of a tensor, so that tensors can be compared by 16 bytes each, and digests of shards add up to that of the whole. It
    detects accidents, not forgery.

    With --server a server computes anew what the manifest says was filled, and sends its digests in place of its bytes.
    It needs no net but for Caffe's random numbers, which run through the whole of it.

    \b
    Examples:
      filler verify weights.safetensors
      filler verify weights.npz --manifest weights.npz.manifest.json
      filler verify out/ --quiet && echo complete
      filler verify weights.safetensors --server host1:50051,host2:50051
      filler verify weights.safetensors --json | jq -r '.tensors[] | select(.finding != "equal").name'
    """
    import filler_client
    from filler_client.cli.connect import connect
    from filler_client.cli.terminal import print_json, progress

    if net is not None and server.address is None:
        raise click.UsageError("--net goes with --server.")
    with (
        nullcontext(None) if server.address is None else connect(server) as client,
        progress(_size(weights)) as advance,
    ):
        found = filler_client.verify(weights, manifest, client=client, net=net, advance=advance)
    if as_json:
        computed = {} if client is None else {"computed": found.computed}
        print_json({"equal": found.is_equal, **computed, "tensors": [_entry(one) for one in found.tensors]}, indent=2)
    elif not quiet:
        _print(found, show_all=show_all, computed=client is not None)
    sys.exit(0 if found.is_equal else 1)


def _size(path: Path) -> int:
    """Return the bytes that will be read, about: for the progress alone."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _entry(found: "Verified") -> dict[str, Any]:
    return {
        "name": found.name,
        "file": found.file,
        "finding": found.finding,
        "detail": found.detail,
        "expected": None if found.expected is None else str(found.expected.digest),
        "digest": None if found.digest is None else str(found.digest),
    }


def _print(verification: "Verification", *, show_all: bool, computed: bool) -> None:
    from caffe_filler.printable import counted
    from filler_client.cli.terminal import print_line, print_table

    rows = [
        [found.file, found.name or "-", found.finding, found.detail or "-"]
        for found in verification.tensors
        if show_all or not found.is_equal
    ]
    if rows:
        print_table([("file", "left"), ("tensor", "left"), ("finding", "left"), ("detail", "left")], rows)
        print_line()
    count = len([found for found in verification.tensors if found.name])
    equal = sum(found.is_equal for found in verification.tensors)
    print_line(f"{equal} of {counted(count, 'tensor')} {'is' if equal == 1 else 'are'} as the manifest has them")
    if computed:
        others = "" if verification.computed == count else "; others were copied, or are made of several blobs"
        print_line(f"the server has computed {counted(verification.computed, 'tensor')}{others}")
