#!/usr/bin/env bash
# Train `lite` from the shipped weights for at most MINUTES, and leave the result in OUT_DIR:
#   FNEVR_DATA=PREPARED scripts/train_budget.sh MINUTES OUT_DIR [--device cuda] [more options]
# PREPARED is a prepared folder; `scripts/pack_clips.py DATA PREPARED` makes a small one to carry.
# Where a module that training needs is missing, WHEELS=FOLDER provides it: all wheels of that folder
# are unpacked for this run alone, without a network. PYTHON chooses the interpreter. What else there
# is: scripts/train_budget.sh --help
set -euo pipefail
started=$(date +%s)
needed="accelerate, array_api_compat, einops, jaxtyping, numpy, PIL, pydantic, safetensors, torch"
. "$(dirname "$0")/interpreter.sh"
exec "$python" "$root/scripts/train_budget.py" --started "$started" "$@"
