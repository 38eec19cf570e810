#!/usr/bin/env bash
# Builds the images of the lab in containers: the base images, and `scaling-lab` from the programs built on this
# computer.
#
#   scripts/images.sh            the base images, then the lab's own from target/release
#   scripts/images.sh --base     only the base images of the Dockerfile and the compose files
#   scripts/images.sh --observe  only the Prometheus of the profile `observe`
#
# A base image that exists, or can be pulled, is left alone. Without a registry, it is assembled from Debian's packages;
# so is Compose v2 if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "images: $*"; }
fail() {
    echo "images: $*" >&2
    exit 4
}

command -v docker >/dev/null || fail "docker is missing: install it from https://docs.docker.com/engine/install, or Debian's package docker.io"
docker info >/dev/null 2>&1 || fail "the docker engine does not answer: start it (systemctl start docker), or join its group (usermod -aG docker $(id -un))"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

debian=http://deb.debian.org/debian
# The Debian release that has Compose v2; its binary runs on older releases as well.
compose_release=trixie

# Installs Compose v2 as a plugin of the docker command, from Debian's package.
get_compose() {
    command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ] || fail "Compose v2 is missing: install it from https://docs.docker.com/compose/install"
    say "Compose v2 is missing: taking it from Debian's package docker-compose"
    mkdir -p "$scratch/lists/partial" "$scratch/cache"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $debian $compose_release main" >"$scratch/sources.list"
    local apt=(apt-get -qq -o "Dir::Etc::SourceList=$scratch/sources.list" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$scratch/lists" -o "Dir::Cache=$scratch/cache" -o Acquire::Languages=none
        -o APT::Sandbox::User=root)
    (cd "$scratch" && "${apt[@]}" update && "${apt[@]}" download docker-compose && dpkg-deb -x docker-compose_*.deb tree)
    install -D "$scratch/tree/usr/libexec/docker/cli-plugins/docker-compose" /usr/local/lib/docker/cli-plugins/docker-compose
}

# Images are referred to by name only, so it does not matter where they come from.
have() { docker image inspect "$1" >/dev/null 2>&1; }
pull() { timeout 300 docker pull --quiet "$1" >/dev/null 2>"$scratch/pull"; }

# Builds an image of nothing but these packages of Debian 12. They need not be configured, because none of their
# services is ever started.
from_packages() {
    local image=$1 packages=$2
    shift 2
    if ! command -v mmdebstrap >/dev/null; then
        command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ] || fail "$image does not exist and cannot be pulled: $(tail -n 1 "$scratch/pull")"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap; } >/dev/null
    fi
    say "$image cannot be pulled: assembling it from Debian's packages"
    mmdebstrap --quiet --variant=extract --include="base-files,base-passwd,bash,coreutils,dash,grep,sed,libc-bin,$packages" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/bash-completion/*' \
        --extract-hook='cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"' \
        --extract-hook='cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"' \
        "$@" bookworm "$scratch/base.tar" "$debian" || fail "$image could not be assembled"
    docker import "$scratch/base.tar" "$image" >/dev/null
    rm "$scratch/base.tar"
}

base_images() {
    have debian:bookworm-slim || pull debian:bookworm-slim || from_packages debian:bookworm-slim iproute2,iputils-arping
    # Besides a service, Debian's package redis-server installs only this name for the program.
    have redis:7 || pull redis:7 || from_packages redis:7 redis-tools \
        --extract-hook='ln -sf redis-check-rdb "$1/usr/bin/redis-server"'
}

own_image() {
    local programs=(machine healthcheck lb webserver dbnode labctl) from=${PROGRAMS:-target/release} into=target/image
    for program in "${programs[@]}"; do
        [ -x "$from/$program" ] || fail "$from/$program is missing: cargo build --release --bins"
    done
    rm -rf "$into" && mkdir -p "$into"
    command -v strip >/dev/null || fail "strip is missing: install the package binutils"
    for program in "${programs[@]}"; do install -m 755 "$from/$program" "$into/" && strip "$into/$program"; done
    # labctl compares this with the programs beside it, and refuses an image of another build.
    local build
    build=$(cd "$from" && cat machine lb webserver dbnode | sha256sum | cut -c 1-16)
    DOCKER_BUILDKIT="${DOCKER_BUILDKIT:-0}" docker build --quiet --target prebuilt --build-arg "BUILD=$build" --tag scaling-lab:latest . >/dev/null 2>"$scratch/build" ||
        fail "the image was not built: $(tail -n 1 "$scratch/build")"
    docker run --rm --network none scaling-lab:latest --version >/dev/null ||
        fail "the programs were built for a newer system than the image's: docker compose --profile final build"
    say "scaling-lab is built from $from ($build)"
}

# A base image assembled as above has no apt, so Prometheus is installed into it in the same way.
observe_image() {
    local base=debian:bookworm-slim
    if ! docker run --rm --network none --entrypoint sh "$base" -c 'command -v apt-get' >/dev/null 2>&1; then
        base=scaling-lab-prometheus-base
        have "$base" || from_packages "$base" prometheus
    fi
    DOCKER_BUILDKIT="${DOCKER_BUILDKIT:-0}" docker build --quiet --file deploy/observability/Dockerfile \
        --build-arg "BASE=$base" --tag scaling-lab-prometheus:latest . >/dev/null 2>"$scratch/build" ||
        fail "scaling-lab-prometheus was not built: $(tail -n 1 "$scratch/build")"
    say "scaling-lab-prometheus is built"
}

docker compose version >/dev/null 2>&1 || get_compose
base_images
case "${1:-}" in
    --base) ;;
    --observe) observe_image ;;
    *) own_image ;;
esac
