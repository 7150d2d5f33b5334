#!/bin/bash
# A search on a Slurm cluster: one Ray node per machine, the search on the first; resubmit the same job to go on.
#   sbatch --nodes=8 --gpus-per-node=8 experiments/cluster/slurm.sh experiments/configs/efficientnetv2_s.yaml runs/v2s
#SBATCH --job-name=nas
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail
config=$1 out=$2
port=$((20000 + SLURM_JOB_ID % 20000)) # another job may have its head on the same machine

# Every node and the search must agree on these: srun passes them on. The token is this job's own.
here=$(dirname "$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=\([^ ]*\).*/\1/p')") # Slurm copied this file
source "$here/environment.sh"
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RAY_AUTH_TOKEN

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
on() { srun --overlap --nodes=1 --ntasks=1 --nodelist="$1" "${@:2}"; }

# A machine may have several addresses: NAS_HEAD_ADDRESS is the one by which the others reach it. Ray would count all CPUs
# of a machine, of which this job may have fewer.
head=${NAS_HEAD_ADDRESS:-$(on "${nodes[0]}" hostname -I | awk '{print $1}')}
on "${nodes[0]}" ray start --head --node-ip-address="$head" --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" \
  --include-dashboard=false --block &
on "${nodes[0]}" python "$here/await_nodes.py" "$head:$port" 1
for node in "${nodes[@]:1}"; do
  on "$node" ray start --address="$head:$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
done
on "${nodes[0]}" python "$here/await_nodes.py" "$head:$port" "${#nodes[@]}"

# Slurm's warning before the time is up becomes the search's clean stop; what ran is run again by the next job.
on "${nodes[0]}" nas search "$config" --out "$out" --address "$head:$port" &
search=$!
trap 'kill -TERM "$search"' TERM
wait "$search" || wait "$search"
