"""The metrics of a server, as Prometheus reads them."""

import time
import urllib.request
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from tests.processes import ServerProcess

Values = dict[tuple[str, tuple[str, ...]], float]


def scrape(process: ServerProcess) -> Values:
    """The values of the metrics by name and labels."""
    address = process.wait_for(r"metrics on (http://[^\s\"]+)")
    with urllib.request.urlopen(address) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def until(process: ServerProcess, holds: Callable[[Values], bool]) -> Values:
    """The metrics once they are so: a call is counted when its end has reached the client already."""
    while not holds(values := scrape(process)):
        time.sleep(0.02)
    return values
