#!/usr/bin/env bash
# Builds, then measures: one server process, several behind nginx, or requests of several rows.
# usage: scripts/benchmark.sh single|multi|batch|spike|sustained|connections [TIME] [OPTION...]
#
#   single       one process, one row a request
#   multi        NUM_PROCESSES (default 4) processes, straight and behind nginx, beside one process
#   batch        one process, BATCH (default 64) rows a request as binary tensors
#   spike        one process, ten times the rate for a quarter of the time
#   sustained    one process, at least a minute at one rate
#   connections  one process, few connections, many, and a new one for each request
#
# TIME is 30s unless told. MODEL chooses the model, CONNECTIONS (default 64) how many, TOOL=wrk another generator,
# BUILD_DIR another build. Further options are those of `onnxd bench single` and `onnxd bench multi`.
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//'; exit "$1"; }

kind=${1:-}
case $kind in -h | --help) usage 0 ;; '') usage 64 >&2 ;; esac
shift
time=30s
if [[ ${1:-} =~ ^[0-9]+(ms|s|m|h)?$ ]]; then
    time=$1
    shift
fi
build=${BUILD_DIR:-build}
model=${MODEL:-models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx}
common=(--model "$model" --connections "${CONNECTIONS:-64}" --duration "$time")
make --no-print-directory build BUILD_DIR="$build" >&2
case $kind in
single) exec "$build/onnxd" bench single "${common[@]}" "$@" ;;
multi) NUM_PROCESSES=${NUM_PROCESSES:-4} exec "$build/onnxd" bench multi "${common[@]}" "$@" ;;
batch) exec "$build/onnxd" bench single "${common[@]}" --random binary --batch "${BATCH:-64}" "$@" ;;
spike | sustained | connections) exec "$build/onnxd" bench single "${common[@]}" --profile "$kind" "$@" ;;
*)
    echo "scripts/benchmark.sh: unknown kind '$kind'" >&2
    usage 64 >&2
    ;;
esac
