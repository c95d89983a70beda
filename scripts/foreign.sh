#!/usr/bin/env bash
# foreign.sh DIRECTORY: brings what the benchmark measures beside us: Alertmanager as a package, Node-RED into DIRECTORY.
# Says what will be left out.
set -euo pipefail
mkdir -p "$1"
directory=$(cd "$1" && pwd)
cd "$(dirname "$0")"
# shellcheck source=scripts/apt.sh
. ./apt.sh

skipped() {
  printf '\n*** %s cannot be installed from here: it WILL BE LEFT OUT of the benchmark.\n\n' "$1" >&2
}

have() {
  PATH="$PATH:$directory/node_modules/.bin" command -v "$1" > /dev/null
}

have prometheus-alertmanager || have alertmanager || apt_install prometheus-alertmanager || skipped Alertmanager
have node-red ||
  timeout 300 npm install --no-audit --no-fund --prefix "$directory" node-red@4 > "$directory/npm.log" 2>&1 ||
  skipped Node-RED
