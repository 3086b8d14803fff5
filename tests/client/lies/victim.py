"""A client that is lied to, in a process whose address space is limited: prints what it got and how much it took.

Usage: python -m tests.client.lies.victim ADDRESS < CALLS
"""

import json
import resource
import sys
from pathlib import Path

from caffe_filler.errors import FillerError
from filler_client import FillerClient, RetryPolicy

LIMIT_BYTES = 1 << 30
"""Address space that calls may take on top of what an idle client has."""

NET = Path(__file__).with_name("victim.prototxt")


def status(key: str) -> int:
    """A figure of this process, in bytes."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:")]
    return 1024 * int(line.split()[1])


def call(client: FillerClient, name: str) -> None:
    """Make one of the calls that the tests name."""
    if name == "fill":
        client.fill("xavier", (6, 9), seed=3, name="name")
    elif name == "upgrade_net":
        client.upgrade_net(NET)
    elif name == "list_fillers":
        client.list_fillers()
    else:
        getattr(client, name)(NET)


def main(address: str) -> None:
    """Make each call once truly; then make those that standard input names, under the limit."""
    with FillerClient(address, retry=RetryPolicy(attempts=1)) as client:
        for name in ("fill", "init_net", "plan_net", "upgrade_net", "list_fillers"):
            call(client, name)
        space = status("VmSize") + LIMIT_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        print("ready", flush=True)
        for line in sys.stdin:
            # Forgets the peak.
            Path("/proc/self/clear_refs").write_text("5")
            before, error = status("VmRSS"), ""
            try:
                call(client, line.strip())
            except FillerError as caught:
                error = f"{type(caught).__name__}: {caught}"
            print(json.dumps({"error": error, "took": status("VmHWM") - before}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
