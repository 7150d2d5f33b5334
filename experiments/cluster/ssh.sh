#!/bin/bash
# A search on machines that plain ssh reaches: one Ray node on each, the search here, on the first. Again to go on.
#   experiments/cluster/ssh.sh experiments/configs/efficientnetv2_s.yaml runs/v2s 10.0.0.1 10.0.0.2 10.0.0.3
# The first address is this machine's, the others are those that `ssh ADDRESS` logs in to without a password. Each has
# the toolkit at NAS_BIN (where `ray` and `nas` are; default: where they are here).
set -euo pipefail
config=$1 out=$2 head=$3 others=("${@:4}") port=${NAS_PORT:-6379}
bin=${NAS_BIN:-$(dirname "$(command -v nas)")}
here=$(dirname "$0")
source "$here/environment.sh"
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RAY_AUTH_TOKEN

# Nodes end when this script does: the ones here are killed, the others lose their connection.
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT

"$bin/ray" start --head --node-ip-address="$head" --port="$port" --include-dashboard=false --block >/dev/null &
pids+=($!)
"$bin/python" "$here/await_nodes.py" "$head:$port" 1
for node in "${others[@]}"; do
  # The settings go through standard input, for the arguments of a process are seen by every user of a machine. There
  # `read` then waits until the connection ends.
  {
    env | grep '^RAY_' | sed 's/^/export /'
    echo "'$bin/ray' start --address=$head:$port --node-ip-address=$node --block & read -r _; kill \$!; wait"
    tail --pid=$$ -f /dev/null
  } | ssh -o BatchMode=yes "$node" bash >/dev/null &
  pids+=($!)
done
"$bin/python" "$here/await_nodes.py" "$head:$port" "$((1 + ${#others[@]}))"
"$bin/nas" search "$config" --out "$out" --address "$head:$port"
