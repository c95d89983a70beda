#!/usr/bin/env bash
# services.sh PROGRAM=PACKAGE...: installs the packages of the programs that are missing, or says what will be skipped.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/apt.sh
. ./apt.sh

for pair in "$@"; do
  program=${pair%%=*} package=${pair#*=}
  command -v "$program" > /dev/null && continue
  apt_install "$package" && continue
  printf '\n*** %s is missing and cannot be installed from here.\n*** The tests that need it %s. To change that: apt-get install %s\n\n' \
    "$program" "$([ "${CI:-}" = true ] && echo 'WILL FAIL' || echo 'WILL BE SKIPPED')" "$package" >&2
done
