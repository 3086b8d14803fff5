"""`filler warm-up`: compiles all kernels into the cache."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from filler_server.service.compilation import Ready


@click.command("warm-up")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: cpu, cache, seconds, parts.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def warm_up(as_json: bool, quiet: bool) -> None:
    """Compile all kernels for this machine, so that servers and commands start without compiling.

    Numba keeps them in NUMBA_CACHE_DIR, or beside the sources. They are those of one kind of CPU, and of sources with
    these times of change: copy both with their times, as `cp -a` does. What lies in the cache already is kept.

    \b
    Examples:
      filler warm-up
      NUMBA_CACHE_DIR=/var/cache/filler filler warm-up
      filler warm-up --json | jq -r .cpu
    """
    import time

    from filler_client._embedded import needs_numba
    from filler_client.cli.terminal import print_json, print_line

    began = time.monotonic()
    with needs_numba("compiling kernels", otherwise=""):
        from filler_server.service import compilation

    def on_ready(ready: "Ready") -> None:
        if ready.is_compiled and not (as_json or quiet):
            print_line(f"compiled {ready.name} ({ready.seconds:.1f} s)")

    warm = compilation.warm_up(on_ready)
    seconds, parts = time.monotonic() - began, warm.parts
    if as_json:
        print_json(
            {
                "cpu": warm.cpu,
                "cache": [str(folder) for folder in warm.folders],
                "seconds": round(seconds, 3),
                "parts": [
                    {"name": part.name, "compiled": part.is_compiled, "seconds": round(part.seconds, 3)}
                    for part in parts
                ],
            },
            indent=1,
        )
    elif not quiet:
        number = sum(part.is_compiled for part in parts)
        print_line(f"{number} of {len(parts)} parts compiled for {warm.cpu} in {seconds:.1f} s, in")
        for folder in warm.folders:
            print_line(f"  {folder}")
