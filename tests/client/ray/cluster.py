"""A cluster of Ray on this machine, in a process of its own: `python -m tests.client.ray.cluster NODES`.

It prints the address and the processes of its nodes as JSON, and ends with its standard input.
"""

import json
import os
import sys

HOST = "127.0.0.2"
"""A loopback address that Ray does not take for another one, as it does with 127.0.0.1."""

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster  # noqa: E402 - it reads the environment


def main(nodes: int) -> None:
    settings = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": HOST, "include_dashboard": False}
    # So that the loss of a node is noticed in a second rather than in fifteen.
    health = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
    cluster = Cluster(initialize_head=True, head_node_args={**settings, "_system_config": health})
    try:
        for _ in range(nodes - 1):
            cluster.add_node(**settings)
        raylets = [node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()]
        print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
