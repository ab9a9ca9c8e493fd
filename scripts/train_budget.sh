#!/usr/bin/env bash
# Train `lite` from the shipped weights for at most MINUTES, and leave the result in OUT_DIR:
#   FNEVR_DATA=PREPARED scripts/train_budget.sh MINUTES OUT_DIR [--device cuda] [more options]
# PREPARED is a prepared folder; `scripts/pack_clips.py DATA PREPARED` makes a small one to carry.
# WHEELS=FOLDER installs what is missing from that folder, without a network. PYTHON chooses the
# interpreter. What else there is: scripts/train_budget.sh --help
set -euo pipefail
started=$(date +%s)
cd_root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$cd_root/.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)
needed="accelerate einops jaxtyping numpy PIL pydantic safetensors torch"
if [ -n "${WHEELS:-}" ] && ! "$python" -c "import ${needed// /, }" 2>/dev/null; then
    venv=$(mktemp -d)/venv
    "$python" -m venv --system-site-packages "$venv"
    python=$venv/bin/python
    for module in $needed; do
        package=${module/PIL/pillow}
        "$python" -c "import $module" 2>/dev/null ||
            "$python" -m pip install --quiet --no-index --find-links "$WHEELS" "$package"
    done
fi
export PYTHONPATH="$cd_root/src${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" "$cd_root/scripts/train_budget.py" --started "$started" "$@"
