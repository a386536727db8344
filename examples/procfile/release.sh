#!/usr/bin/env bash
# Runs once before a release goes live; a failure here keeps the old one.
set -euo pipefail
echo "release: ready as ${PAAS_RELEASE:-a release}"
