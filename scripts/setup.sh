#!/usr/bin/env bash
# Prepare a bare machine, once; called by the Makefile.
#
#   scripts/setup.sh python EXTRAS   make .venv and install napari-salt into it, editable, with these extras
#   scripts/setup.sh window          install what a Qt window under Xvfb needs (Debian and its relatives)
#
# A stamp in .venv remembers what was installed, keyed on pyproject.toml, so that a second call does nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv
WINDOW_PACKAGES=(
  libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1 libglib2.0-0 xvfb xauth libxcb-cursor0 libxcb-icccm4
  libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xkb1 libxkbcommon-x11-0
  libx11-xcb1
)

say() { printf '%s\n' "$*" >&2; }
die() { say "setup: $*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Debian packages, or a sentence that says how to get them.
apt_install() {
  if ! has apt-get; then
    die "please install these with your system's package manager, then run make again: $*"
  elif [ "$(id -u)" -ne 0 ]; then
    die "please run this once, then make again:  sudo apt-get update && sudo apt-get install -y $*"
  fi
  say "Installing Debian packages: $*"
  DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}

# Whether the package is installed, under its own name or its name since the 64-bit time transition.
deb_installed() {
  local states
  states=$(dpkg-query -W -f='${Status}\n' "$1" "$1t64" 2>/dev/null || true)
  grep -q '^install ok installed' <<<"$states"
}

setup_window() {
  [ "$(uname -s)" = Linux ] || return 0
  if ! has dpkg-query; then
    has Xvfb || say "setup: no Xvfb found; tests will open windows on your own screen."
    return 0
  fi
  local missing=() package
  for package in "${WINDOW_PACKAGES[@]}"; do
    deb_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
}

make_venv() {
  has python3 || die "python3 was not found; install Python 3.11 or newer."
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "Python 3.11 or newer is needed, but python3 is $(python3 -c 'import platform; print(platform.python_version())')."
  # Debian keeps ensurepip, without which a venv has no pip, in a package of its own.
  if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
    apt_install "python3-venv"
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 ||
      die "$(command -v python3) has no venv module; install it, or put another python3 first on PATH."
  fi
  say "Making $VENV with $(python3 --version)"
  rm -rf "$VENV"
  python3 -m venv "$VENV"
}

setup_python() {
  local extras=$1 stamp
  # One stamp per set of extras; the place is part of the key, because scripts in a moved .venv point to the old one.
  stamp=$VENV/.installed-$(printf '%s\n' "$PWD" "$extras" | cat - pyproject.toml | cksum | tr ' ' '-')
  [ -e "$stamp" ] && return 0
  "$VENV/bin/python" -m pip --version >/dev/null 2>&1 && [ "$(cat "$VENV/.place" 2>/dev/null)" = "$PWD" ] || make_venv
  printf '%s' "$PWD" >"$VENV/.place"
  say "Installing napari-salt[$extras] into $VENV; the first time this downloads PyTorch and takes some minutes."
  "$VENV/bin/python" -m pip install -qq --disable-pip-version-check -e ".[$extras]" </dev/null >&2 ||
    die "pip could not install napari-salt[$extras]; its message is above. Run make again once it is mended."
  touch "$stamp"
}

case "${1:-}" in
  python) setup_python "${2:-test,check}" ;;
  window) setup_window ;;
  *) die "usage: scripts/setup.sh python [EXTRAS] | window" ;;
esac
