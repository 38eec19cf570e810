#!/usr/bin/env bash
# Installs a release's Debian package in a container with nothing but Debian's essential packages and without network,
# and runs a chapter there.
#
#   scripts/try_release.sh target/release-0.1.0/scaling-lab_0.1.0_amd64.deb
set -euo pipefail
cd "$(dirname "$0")/.."
package=$(realpath "${1:?the package: target/release-VERSION/scaling-lab_VERSION_ARCHITECTURE.deb}")

image=debian:bookworm-slim
container=rel-try-$$
clean_up() {
    docker rm --force "$container" >/dev/null 2>&1 || true
    [ "$image" != scaling-lab-bare ] || docker image rm --force "$image" >/dev/null
}
trap clean_up EXIT
have() { docker image inspect "$1" >/dev/null 2>&1; }
# An image that was assembled by unpacking packages has a dpkg that cannot install anything.
usable() {
    docker run --rm --pull never --network none --entrypoint sh "$image" -c \
        'command -v diff && command -v ldconfig && dpkg-query --show libc6' >/dev/null 2>&1
}
have "$image" || timeout 300 docker pull --quiet "$image" >/dev/null 2>&1 || true
if ! usable; then
    # No registry can be reached, or the image with this name was assembled for another purpose.
    image=scaling-lab-bare
    if ! command -v mmdebstrap >/dev/null; then
        echo "installing mmdebstrap (apt-get)"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null
    fi
    echo "assembling a bare Debian 12 from its packages"
    timeout 600 mmdebstrap --quiet --variant=essential bookworm - http://deb.debian.org/debian | docker import - "$image" >/dev/null
fi

verdict=0
# The time limit kills a hanging run: the chapter takes half a minute.
timeout --kill-after 10 600 docker run --rm --pull never --network none --name "$container" \
    --volume "$package:/scaling-lab.deb:ro" --entrypoint sh "$image" -euc '
    dpkg --install /scaling-lab.deb
    labctl --version
    test -f /usr/share/man/man1/labctl.1.gz
    grep -q COMPLETE /usr/share/bash-completion/completions/labctl
    # The shell calls it the way the completions do.
    COMPLETE=bash _CLAP_COMPLETE_INDEX=2 _CLAP_IFS=" " labctl -- labctl run one-m | grep -q one-machine
    cd /tmp
    labctl schema chapter | grep -q json-schema.org
    labctl run one-machine --quick --no-input
    dpkg --remove scaling-lab
    test ! -e /usr/bin/labctl && test ! -e /usr/lib/scaling-lab
' || verdict=$?
case $verdict in
    0) echo "the package works on a bare system" ;;
    3) echo "the package works on a bare system; the computer was too busy to judge the chapter" ;;
    *) exit "$verdict" ;;
esac
