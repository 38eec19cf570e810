#!/usr/bin/env bash
# Makes a release out of the sources as they are: an archive, a Debian package, a bill of materials, checksums.
#
#   scripts/release.sh           into target/release-VERSION
#
# The programs are built with the profile `dist`, for this computer's processor and a C library as new as its own. So
# that they run elsewhere, build on the oldest system that is supported: Debian 12.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh

programs=(labctl lb webserver dbnode machine healthcheck)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
target=$(rustc -vV | sed -n 's/^host: //p')
out=target/release-$version
built=target/dist
# No program is larger than what a student downloads without a thought.
LABCTL_BYTES_MAX=$((15 * 1024 * 1024))

cargo build --profile dist --locked --package machine --package lb --package webserver --package dbnode --package labctl --bins
for program in "${programs[@]}"; do [ -x "$built/$program" ] || { echo "$built/$program was not built" >&2; exit 1; }; done
bytes=$(stat -c %s "$built/labctl")
[ "$bytes" -le "$LABCTL_BYTES_MAX" ] || { echo "labctl has $bytes bytes, and $LABCTL_BYTES_MAX are allowed" >&2; exit 1; }

rm -rf "$out"
mkdir -p "$out"
name=scaling-lab-$version-$target
tree=$out/$name
# The programs stand side by side: labctl finds the others beside itself.
install -d "$tree"/{lib/scaling-lab,share/man/man1,share/doc/scaling-lab,share/bash-completion/completions,share/zsh/vendor-completions,share/fish/vendor_completions.d}
for program in "${programs[@]}"; do install -m 755 "$built/$program" "$tree/lib/scaling-lab/"; done
install -d "$tree/bin" && ln -s ../lib/scaling-lab/labctl "$tree/bin/labctl"
labctl=$tree/lib/scaling-lab/labctl
"$labctl" man "$tree/share/man/man1" >/dev/null
"$labctl" completions bash >"$tree/share/bash-completion/completions/labctl"
"$labctl" completions zsh >"$tree/share/zsh/vendor-completions/_labctl"
"$labctl" completions fish >"$tree/share/fish/vendor_completions.d/labctl.fish"
install -m 644 README.md CHANGELOG.md SECURITY.md LICENSE LICENSE-MIT LICENSE-APACHE "$tree/share/doc/scaling-lab/"

# The same bytes from the same programs, whenever and by whoever.
epoch=$(git log -1 --format=%ct 2>/dev/null || date +%s)
tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" --directory "$out" "$name" |
    gzip --no-name -9 >"$out/$name.tar.gz"

# The Debian package, with the same files below /usr.
if there_is dpkg-deb; then
    deb=$out/deb
    install -d "$deb/DEBIAN" "$deb/usr"
    cp -a "$tree/." "$deb/usr/"
    gzip --no-name -9 "$deb"/usr/share/man/man1/*.1
    cat "$deb/usr/share/doc/scaling-lab/LICENSE" >"$deb/usr/share/doc/scaling-lab/copyright"
    arch=$(dpkg --print-architecture)
    # The newest symbol of the C library that a program asks for.
    libc=$(objdump -T "$built"/{labctl,dbnode,lb,webserver,machine} | sed -n 's/.*GLIBC_\([0-9.]*\)).*/\1/p' | sort -uV | tail -n 1)
    cat >"$deb/DEBIAN/control" <<CONTROL
Package: scaling-lab
Version: $version
Architecture: $arch
Maintainer: Scaling Lab <scaling-lab@localhost>
Installed-Size: $(du -sk "$deb/usr" | cut -f 1)
Depends: libc6 (>= ${libc:-2.36}), libgcc-s1
Recommends: redis-server | valkey-server, iproute2, iputils-arping
Section: education
Priority: optional
Description: load balancer, web servers and a database to load, break and measure
 A lab for learning how systems scale: labctl starts real processes, loads them, breaks them, measures, and says
 which sentences of an article hold.
CONTROL
    SOURCE_DATE_EPOCH=$epoch dpkg-deb --root-owner-group --build "$deb" "$out/scaling-lab_${version}_$arch.deb" >/dev/null
    rm -rf "$deb"
else
    echo "SKIPPED: the Debian package, because there is no dpkg-deb" >&2
fi
rm -rf "$tree"

# What is in it: every crate, with version and licence.
if ! cargo cyclonedx --version >/dev/null 2>&1; then
    echo "installing cargo-cyclonedx"
    cargo install cargo-cyclonedx --locked --quiet --debug || true
fi
if cargo cyclonedx --version >/dev/null 2>&1; then
    cargo cyclonedx --format json --spec-version 1.5 --manifest-path labctl/Cargo.toml --override-filename "sbom-$version.cdx" --quiet
    find . -path ./target -prune -o -name "sbom-$version.cdx.json" -print | while read -r sbom; do
        mv "$sbom" "$out/$(basename "$(dirname "$sbom")")-$version.cdx.json"
    done
else
    [ -z "${CI:-}" ] || exit 4
    echo "SKIPPED: the bill of materials, because cargo-cyclonedx could not be installed" >&2
fi
(cd "$out" && sha256sum -- * >SHA256SUMS)
echo "$out:"
ls -l "$out"
