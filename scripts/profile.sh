#!/usr/bin/env bash
# Where a server spends its CPU time: perf records it under load and a flame graph is drawn.
# usage: scripts/profile.sh [SECONDS] [OUT.svg] [OPTION of `onnxd bench load`...]
#
#   scripts/profile.sh                              10 s, build/profile.svg, 64 connections
#   scripts/profile.sh 30 batch.svg --batch 64      64 rows a request
#   PID=1234 URL=http://127.0.0.1:3000/predict scripts/profile.sh     a server that runs already
#
# MODEL chooses the model, BUILD_DIR another build, FREQUENCY (default 499) samples a second.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in -h | --help) sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 0 ;; esac
build=${BUILD_DIR:-build}
seconds=${1:-10} out=${2:-$build/profile.svg}
shift $(($# < 2 ? $# : 2))
model=${MODEL:-models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx}
work=$(mktemp -d)
server='' load=''
trap 'kill $load $server 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

command -v perf >/dev/null || { echo "scripts/profile.sh: perf is not installed: apt-get install linux-perf" >&2; exit 69; }
command -v python3 >/dev/null || { echo "scripts/profile.sh: python3 draws the graph: apt-get install python3" >&2; exit 69; }

# Hardware cycles where there are any; virtual machines often offer the clock alone.
event=
for try in cycles cpu-clock; do
    if perf record -q -e $try -F 99 -o "$work/try" -- true >"$work/why" 2>&1; then event=$try && break; fi
done
if [ -z "$event" ]; then
    cat >&2 <<WHY
scripts/profile.sh: perf may not record here:
$(grep -v '^$' "$work/why" | head -n 5 | sed 's/^/    /')
As root:             sysctl kernel.perf_event_paranoid=1
In a container:      run it with --cap-add PERFMON --security-opt seccomp=unconfined
Without perf:        valgrind --tool=callgrind $build/onnxd predict ... counts instructions (docs/benchmarking.md)
WHY
    exit 77
fi

pid=${PID:-} url=${URL:-}
if [ -z "$pid" ]; then
    "$build/onnxd" serve --model "$model" --port 0 2>"$work/server.log" &
    server=$! pid=$!
    until url=$(sed -n 's/^listening on //p' "$work/server.log") && [ -n "$url" ]; do
        kill -0 $server 2>/dev/null || { cat "$work/server.log" >&2; exit 1; }
        sleep 0.05
    done
    url=$url/predict
fi
[ -n "$url" ] || { echo "scripts/profile.sh: with PID give URL, such as http://127.0.0.1:3000/predict" >&2; exit 64; }

"$build/onnxd" bench load "$url" --duration "$((seconds + 2))s" --warm-up 1s --quiet "$@" >"$work/load.txt" 2>&1 &
load=$!
sleep 1.5 # the warm-up is over; what perf sees is steady
kill -0 $load 2>/dev/null || { cat "$work/load.txt" >&2; exit 1; }
perf record -q -e $event -F "${FREQUENCY:-499}" -g --call-graph dwarf,8192 -p "$pid" -o "$work/perf.data" \
    -- sleep "$seconds" >"$work/record.log" 2>&1 || { cat "$work/record.log" >&2; exit 1; }
wait $load || { cat "$work/load.txt" >&2; exit 1; }
load=
grep 'Requests/sec' "$work/load.txt"
perf script -i "$work/perf.data" 2>"$work/script.log" >"$work/stacks" || { cat "$work/script.log" >&2; exit 1; }
tools/flame_graph --title "onnxd serve under load, $event" <"$work/stacks" >"$work/graph.svg"
mv "$work/graph.svg" "$out"
echo "functions by their own time:"
tools/flame_graph --top 12 <"$work/stacks"
echo "flame graph: $out"
