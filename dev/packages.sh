#!/usr/bin/env bash
# Installs missing Debian packages: by apt as root, else it says which line does it.
set -euo pipefail
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: $* — install it: sudo apt-get install -y $*" >&2
    exit 1
fi
echo "installing $* by apt …" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# openjdk's packages expect this folder, which slim images leave out.
mkdir -p /usr/share/man/man1
(apt-get update && apt-get install -y --no-install-recommends "$@") >"$log" 2>&1 &
job=$!
seconds=0
while kill -0 "$job" 2>/dev/null; do
    sleep 1
    seconds=$((seconds + 1))
    [ $((seconds % 5)) != 0 ] || echo "  apt: $(tail -n 1 "$log" | cut -c 1-90)" >&2
done
wait "$job" || {
    echo "apt cannot install $*: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")" >&2
    exit 1
}
echo "installed $*" >&2
