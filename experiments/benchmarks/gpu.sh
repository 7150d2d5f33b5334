#!/usr/bin/env bash
# Every GPU check and benchmark, in under ten minutes, on whatever machine has a GPU:
#
#     bash experiments/benchmarks/gpu.sh [FOLDER]      (default: experiments/results)
#
# Needs Python with torch for CUDA; nothing is installed, nothing is fetched. A part whose packages are missing, or that
# runs out of its time, is reported and the others go on. Results: DATE-gpu-checks-DEVICE.txt (machine, versions, how each
# part ended, what the tests said), and what the benchmarks write themselves. PYTHON names another interpreter.
set -uo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-4}" PYTHONUNBUFFERED=1
python=${PYTHON:-python3}
out=$(mkdir -p "${1:-experiments/results}" && cd "${1:-experiments/results}" && pwd)

device=$("$python" -c 'import torch; print(torch.cuda.get_device_name())') || {
    echo "no CUDA device that torch of '$python' can use; set PYTHON" >&2
    exit 2
}
slug=$(tr '[:upper:]' '[:lower:]' <<<"$device" | tr -cs 'a-z0-9\n' '-' | sed 's/^-*//; s/-*$//')
report="$out/$(date -u +%F)-gpu-checks-$slug.txt"
failed=0

say() { echo "$*" | tee -a "$report"; }

# run SECONDS NAME COMMAND...: one part; its last lines go into the report
run() {
    local limit=$1 name=$2 log status start=$SECONDS
    shift 2
    log=$(mktemp)
    echo "== $name"
    timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1
    status=$?
    case $status in
    0) say "$name: ok, $((SECONDS - start)) s" ;;
    124 | 137) say "$name: stopped after its $limit s" ;;
    *) say "$name: exit status $status after $((SECONDS - start)) s" ;;
    esac
    [ $status -eq 0 ] || failed=1
    tail -n 60 "$log" | sed 's/^/    /' | tee -a "$report"
    rm -f "$log"
}

: >"$report"
say "$(date -u +%FT%TZ) $device"
say "$("$python" -c 'import platform, torch; print("python", platform.python_version(), "torch", torch.__version__, "CUDA", torch.version.cuda, "cuDNN", torch.backends.cudnn.version())')"
say "commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
nvidia-smi --query-gpu=driver_version,clocks.sm,clocks.max.sm,power.limit --format=csv,noheader 2>/dev/null | tee -a "$report"

mapfile -t tests < <(grep -rl --include='test_*.py' 'mark\.gpu' tests) # others may need packages that are not there
run 110 "tests" "$python" -m pytest -q -m gpu -p no:cacheprovider --continue-on-collection-errors "${tests[@]}"
run 160 "step time" "$python" -m experiments.benchmarks.step_time --device cuda --networks 6 --repeats 1 --rounds 5 --out "$out"
run 160 "training" "$python" experiments/benchmarks/training.py --device cuda --rounds 2 --out "$out"
run 60 "networks" "$python" -m experiments.benchmarks.network --device cuda --rounds 5 --out "$out"
run 40 "augmentation" "$python" experiments/benchmarks/augmentation.py --device cuda --out "$out"
say "$([ $failed -eq 0 ] && echo "all parts ok" || echo "some parts failed"), $SECONDS s"
exit $failed
