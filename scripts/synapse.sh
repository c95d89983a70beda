#!/usr/bin/env bash
# synapse.sh DIRECTORY: a Matrix homeserver for the tests, pinned, in an environment of its own, for what it needs is not for
# ours. Says what will be skipped where it cannot be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
directory=$1 python=.venv/bin/python

command -v synapse_homeserver > /dev/null && exit
cmp --silent requirements-synapse.lock "$directory/.installed" && exit

install() {
  rm -rf "$directory" &&
    "$python" -m venv --without-pip "$directory" &&
    # Only what needs no compiler. Nothing is compiled ahead: most of it never runs.
    timeout 300 "$python" -m pip --python "$directory/bin/python" install -qq --disable-pip-version-check --no-deps \
      --no-compile --only-binary :all: --require-hashes --requirement requirements-synapse.lock &&
    cp requirements-synapse.lock "$directory/.installed"
}

echo "Installing Synapse into $directory/ ..."
log=$(mktemp)
install 2> "$log" || {
  tail -n 5 "$log" >&2
  printf '\n*** Synapse cannot be installed from here.\n*** The tests that need it %s.\n\n' \
    "$([ "${CI:-}" = true ] && echo 'WILL FAIL' || echo 'WILL BE SKIPPED')" >&2
  rm -rf "$directory"
}
rm -f "$log"
