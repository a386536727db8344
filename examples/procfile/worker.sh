#!/usr/bin/env bash
# Says what it does, once a minute.
while true; do
  echo "working at $(date -u +%T)"
  sleep 60 & wait $!
done
