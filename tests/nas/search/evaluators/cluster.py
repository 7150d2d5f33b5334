"""A real Ray cluster of three nodes on one machine: prints its address, and kills a worker node for each line read."""

import json
import sys

from ray.cluster_utils import Cluster

head = {"num_cpus": 0, "include_dashboard": False, "no_monitor": True, "include_log_monitor": False}
cluster = Cluster(initialize_head=True, head_node_args=head)
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
cluster.wait_for_nodes()
print(json.dumps({"address": cluster.address}), flush=True)
for _line in sys.stdin:
    cluster.remove_node(nodes.pop(0), allow_graceful=False)  # kill -9 of its processes
    nodes.append(cluster.add_node(num_cpus=1))
    print(json.dumps({"nodes": len(nodes)}), flush=True)
