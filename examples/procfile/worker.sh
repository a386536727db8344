#!/usr/bin/env bash
# Works through nothing, but does so steadily, and stops when it is told to.
set -euo pipefail

trap 'echo "worker: stopped after $done_so_far"; exit 0' TERM

done_so_far=0
while true; do
  done_so_far=$((done_so_far + 1))
  echo "worker: job $done_so_far"
  sleep "${WORK_SECONDS:-10}" &
  wait $!
done
