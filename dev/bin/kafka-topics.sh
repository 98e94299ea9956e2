#!/bin/sh
# The real tool, from any folder; see dev/tools.py.
exec "$(dirname "$(readlink -f "$0")")/../tool.sh" kafka-topics "$@"
