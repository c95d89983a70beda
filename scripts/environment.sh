#!/usr/bin/env bash
# environment.sh PYTHON DIRECTORY: a virtual environment with all pinned dependencies and this project, editable.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
. scripts/apt.sh
python=$1 directory=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "dispatcher needs Python 3.11 or newer; name one with PYTHON=..., for example: make setup PYTHON=python3.13" >&2
  exit 1
}
"$python" -c 'import ensurepip' 2> /dev/null || apt_install python3-venv || {
  echo "Python cannot create virtual environments here: install python3-venv, then try again." >&2
  exit 1
}
[ -x "$directory/bin/pip" ] || "$python" -m venv "$directory"
echo "Installing the pinned dependencies into $directory/ ..."
pip=("$directory/bin/python" -m pip install -qq --disable-pip-version-check --no-deps)  # the lock is complete
"${pip[@]}" --require-hashes --requirement requirements-dev.lock
"${pip[@]}" --editable .
