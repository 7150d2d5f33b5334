"""A real Ray cluster on one machine, of nodes with environments of their own.

Prints its address; for each line read, an environment, adds a node of one CPU and prints how many there are.
"""

import json
import sys

from ray.cluster_utils import Cluster

head = {"num_cpus": 0, "include_dashboard": False, "no_monitor": True, "include_log_monitor": False}
cluster = Cluster(initialize_head=True, head_node_args=head)
print(json.dumps({"address": cluster.address}), flush=True)
for number, line in enumerate(sys.stdin, 1):
    cluster.add_node(num_cpus=1, env_vars=json.loads(line))
    print(json.dumps({"nodes": number}), flush=True)
