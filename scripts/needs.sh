# What the lab needs from this computer, installed where it is missing. Sourced by the other
# scripts; it asks nothing, and says what it installs.
#
#   need COMMAND DEBIAN-PACKAGE FEDORA-PACKAGE BREW-FORMULA

need() {
    command -v "$1" >/dev/null 2>&1 && return
    local as_root=""
    [ "$(id -u)" -eq 0 ] || as_root="sudo"
    if command -v apt-get >/dev/null 2>&1; then
        echo "installing $2 (apt-get), because '$1' is missing"
        $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
    elif command -v dnf >/dev/null 2>&1; then
        echo "installing $3 (dnf), because '$1' is missing"
        $as_root dnf install -y -q "$3"
    elif command -v brew >/dev/null 2>&1; then
        echo "installing $4 (brew), because '$1' is missing"
        brew install --quiet "$4"
    fi
    command -v "$1" >/dev/null 2>&1 && return
    echo "'$1' is missing and could not be installed: install the package that has it ($2) and try again" >&2
    exit 4
}

if ! command -v cargo >/dev/null 2>&1; then
    [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
fi
if ! command -v cargo >/dev/null 2>&1; then
    echo "Rust is missing: install it from https://rustup.rs and try again" >&2
    exit 4
fi

# SQLite is compiled from its C source.
need cc gcc gcc gcc
