# Sourced by the other scripts. apt_install PACKAGE...: installs quietly; false where we may not or it does not work.

apt_install() {
  local sudo=() log
  [ "$(id -u)" -eq 0 ] || sudo=(sudo -n)
  command -v apt-get > /dev/null || return 1
  [ "${#sudo[@]}" -eq 0 ] || sudo -n true 2> /dev/null || return 1
  log=$(mktemp)
  printf 'Installing %s ...\n' "$*"
  # The lists of a fresh machine are empty, those of an old one name packages that are gone: renew, but only when needed.
  if _apt "$@" > "$log" 2>&1 || { "${sudo[@]}" apt-get update > "$log" 2>&1 && _apt "$@" >> "$log" 2>&1; }; then
    rm -f "$log"
  else
    tail -n 5 "$log" >&2
    rm -f "$log"
    return 1
  fi
}

_apt() {
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}
