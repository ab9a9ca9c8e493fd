# Sourced by the scripts that also run on bare machines: sets `root` and `python`, and PYTHONPATH.
# Where one of the modules in `needed` is missing, WHEELS=FOLDER provides it: all wheels of that folder
# are unpacked for this run alone, without a network. PYTHON chooses the interpreter.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)
if [ -n "${WHEELS:-}" ] && ! "$python" -c "import $needed" 2>/dev/null; then
    unpacked=$(mktemp -d)
    "$python" -m pip install --quiet --no-index --no-deps --target "$unpacked" "$WHEELS"/*.whl
    export PYTHONPATH="$unpacked${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}"
