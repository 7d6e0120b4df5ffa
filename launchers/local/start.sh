#!/usr/bin/env bash
# One CPU and one training worker on this machine; Ctrl-C stops both in good order.
# Start it in the directory of my_launchpad.yaml.
set -euo pipefail
launchers=$(cd "$(dirname "$0")" && pwd)
export FW_CONFIG_FILE=$launchers/FW_config.yaml
PATH=$launchers/../../.venv/bin:$PATH
# Both workers use all cores. OpenMP's threads must not spin while they wait for each other: that
# takes the cores from the other worker and makes a training up to 20 times slower.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

fw-nnp work --category md,dft --cores "$(nproc)" --forever &
cpu=$!
fw-nnp work --category gpu --cores "$(nproc)" --forever &
gpu=$!
trap 'kill -TERM $cpu $gpu' INT TERM
wait $cpu $gpu || wait $cpu $gpu # a signal ends the first wait, the second waits for the workers
