#!/usr/bin/env bash
# Time `base` and `lite` on a graphics card: plain loop, folded, compiled (CUDA graphs), float32 and
# bfloat16, batches 1 and 16, beside the card's measured ceilings.
#   scripts/bench_gpu.sh OUT_DIR
# Rehearsal without a card: DEVICE=cpu MODELS=lite ENGINES="torch" BATCHES=1 scripts/bench_gpu.sh OUT_DIR
# WHEELS=FOLDER provides modules that are missing, as in train_budget.sh; PYTHON chooses the interpreter.
set -euo pipefail
out=${1:?usage: scripts/bench_gpu.sh OUT_DIR}
needed="array_api_compat, einops, jaxtyping, pydantic, rich, safetensors, typer"
. "$(dirname "$0")/interpreter.sh"
mkdir -p "$out"
options=(--device "${DEVICE:-cuda}" --repeats "${REPEATS:-20}")
for engine in ${ENGINES:-torch compile}; do options+=(--engine "$engine"); done
for precision in float32 bfloat16; do options+=(--precision "$precision"); done
for batch in ${BATCHES:-1 16}; do options+=(--batch "$batch"); done
for model in ${MODELS:-lite base}; do
    "$python" -m fnevr bench --model "$model" "${options[@]}" --json "$out/$model.json" | tee "$out/$model.md"
done
