#!/usr/bin/env bash
# Builds a release from the current sources: an archive, a Debian package, a bill of materials, checksums.
#
#   scripts/release.sh           into target/release-VERSION
#   RELEASE_PROFILE=dev scripts/release.sh     a rehearsal: the same files, from unoptimised programs
#   PROGRAMS=target/release scripts/release.sh    a rehearsal with existing programs: nothing is built
#
# scripts/check_release.py checks the results, and scripts/try_release.sh installs the package on a bare system.
# Nothing is uploaded.
#
# The programs are built with the profile `dist`, for this computer's architecture, and need a C library at least as new
# as its own. For wide compatibility, build on the oldest supported system: Debian 12.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh

programs=(labctl lb webserver dbnode machine healthcheck part)
# The packages with the released programs.
packages=(labctl lb webserver dbnode machine part)
profile=${RELEASE_PROFILE:-dist}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
target=$(rustc -vV | sed -n 's/^host: //p')
out=target/release-$version
built=${PROGRAMS:-target/$profile}
[ "$built" != target/dev ] || built=target/debug
# A limit on the size of labctl, to keep the download small.
LABCTL_BYTES_MAX=$((15 * 1024 * 1024))

need strip binutils binutils binutils
# A release has no debug information, so none is generated; the code is the same without it.
[ -n "${PROGRAMS:-}" ] ||
    CARGO_PROFILE_DIST_DEBUG=none cargo build --profile "$profile" --locked "${packages[@]/#/--package=}" --bins
for program in "${programs[@]}"; do [ -x "$built/$program" ] || { echo "$built/$program was not built" >&2; exit 1; }; done
rm -rf "$out"
mkdir -p "$out"
name=scaling-lab-$version-$target
tree=$out/$name
# The programs are installed side by side: labctl looks for the others next to itself.
install -d "$tree"/{lib/scaling-lab,share/man/man1,share/doc/scaling-lab,share/bash-completion/completions,share/zsh/vendor-completions,share/fish/vendor_completions.d}
for program in "${programs[@]}"; do
    strip -o "$tree/lib/scaling-lab/$program" "$built/$program"
    chmod 755 "$tree/lib/scaling-lab/$program"
done
bytes=$(stat -c %s "$tree/lib/scaling-lab/labctl")
echo "labctl has $bytes bytes"
if [ "$built" = target/dist ] && [ "$bytes" -gt "$LABCTL_BYTES_MAX" ]; then
    echo "labctl is too large: $LABCTL_BYTES_MAX bytes are allowed" >&2
    exit 1
fi
install -d "$tree/bin" && ln -s ../lib/scaling-lab/labctl "$tree/bin/labctl"
labctl=$tree/lib/scaling-lab/labctl
"$labctl" man "$tree/share/man/man1" >/dev/null
# The scripts ask the installed labctl, not the one that prints them here.
completions() { "$labctl" completions "$1" | sed "s|$(realpath "$labctl")|labctl|g"; }
completions bash >"$tree/share/bash-completion/completions/labctl"
completions zsh >"$tree/share/zsh/vendor-completions/_labctl"
completions fish >"$tree/share/fish/vendor_completions.d/labctl.fish"
install -m 644 README.md CHANGELOG.md SECURITY.md LICENSE LICENSE-MIT LICENSE-APACHE "$tree/share/doc/scaling-lab/"

# Reproducible: the same programs give the same bytes, regardless of time and user.
epoch=$(git log -1 --format=%ct 2>/dev/null || date +%s)
tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" --directory "$out" "$name" |
    gzip --no-name -9 >"$out/$name.tar.gz"

# The Debian package installs the same files below /usr: see [package.metadata.deb] in labctl/Cargo.toml.
rm -rf target/package && mv "$tree" target/package
if want_subcommand cargo-deb 3.8.0; then
    # It warns about files that cargo has not built.
    SOURCE_DATE_EPOCH=$epoch cargo deb --quiet --package labctl --no-build --no-strip --locked --output "$out/"
fi
rm -rf target/package

# The bill of materials: every crate, with version and licence. cargo-cyclonedx writes one document next to each
# package.
if want_subcommand cargo-cyclonedx 0.5.9; then
    trap 'find . -path ./target -prune -o -name "sbom-$version.cdx.json" -exec rm {} +' EXIT
    cargo cyclonedx --format json --spec-version 1.5 --manifest-path labctl/Cargo.toml --override-filename "sbom-$version.cdx" --quiet
    # Replaces the build directory, so that it is neither disclosed nor makes a difference.
    for package in "${packages[@]}"; do
        sed "s|file://$PWD|file:///scaling-lab|g" "$package/sbom-$version.cdx.json" >"$out/$package-$version.cdx.json"
    done
fi
(cd "$out" && sha256sum -- * >SHA256SUMS)
python3 scripts/check_release.py "$out"
echo "$out:"
ls -l "$out"
