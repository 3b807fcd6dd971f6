#!/usr/bin/env bash
# Makes the virtual environment that test/interop/ag2.test.ts runs AG2 in, once, outside of the repository.
# HANSARD_AG2_VENV names another place. Needs Python 3.10 or newer and its venv module.
set -euo pipefail
version=1.2.1
venv="${HANSARD_AG2_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/hansard/ag2-$version}"
if "$venv/bin/python" -c 'import ag2.network, watchdog, websockets' 2>/dev/null; then
  exit 0
fi
mkdir -p "$(dirname "$venv")"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check "ag2==$version" 'websockets>=14' 'watchdog>=4,<7'
"$venv/bin/python" -c 'import ag2.network, watchdog, websockets'
echo "AG2 $version is in $venv"
