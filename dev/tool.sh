#!/bin/sh
# Runs a console tool of the servers: tool.sh NAME ARGUMENTS…
root=$(dirname "$(dirname "$(readlink -f "$0")")")
if [ ! -x "$root/.venv/bin/python" ]; then
    echo "run \`make setup\` first" >&2
    exit 1
fi
PYTHONPATH=$root exec "$root/.venv/bin/python" -m dev.tools "$@"
