#!/bin/bash
# A search on a Slurm cluster: one Ray node per machine, the search on the first; resubmit the same job to go on.
#   sbatch --nodes=8 --gpus-per-node=8 experiments/cluster/slurm.sh experiments/configs/efficientnetv2_s.yaml runs/v2s
#SBATCH --job-name=nas
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail
config=$1 out=$2 port=6379

# Every raylet and the driver must agree on these; see docs/design.md. Without tokens the port must not be reachable
# from outside; RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH on a shared disk are the alternative.
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-disabled} RAY_memory_monitor_refresh_ms=0 RAY_USAGE_STATS_ENABLED=0

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=$(srun --nodes=1 --ntasks=1 -w "${nodes[0]}" hostname --ip-address | awk '{print $1}')
srun --nodes=1 --ntasks=1 -w "${nodes[0]}" ray start --head --port="$port" --include-dashboard=false --block &
sleep 20
for node in "${nodes[@]:1}"; do
  srun --nodes=1 --ntasks=1 -w "$node" ray start --address="$head:$port" --block &
done

# Slurm's warning before the time is up becomes the search's clean stop; what ran is run again by the next job.
srun --overlap --nodes=1 --ntasks=1 -w "${nodes[0]}" nas search "$config" --out "$out" --address "$head:$port" &
search=$!
trap 'kill -TERM "$search"' TERM
wait "$search" || wait "$search"
