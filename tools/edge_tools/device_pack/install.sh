#!/bin/sh
# Installs Edgeline's runtime on this device from the wheels beside this script, without a network, and verifies the
# bundles beside it:  sh install.sh [FOLDER]   (default: ~/edgeline; PYTHON=python3.11 chooses another Python)
#
# All of it is made beside what is installed, and tried; only then FOLDER/current leads there. What was before stays in
# FOLDER/versions. Where a key is trusted on this device (or named: KEY=line3.pub.pem), the archive must be signed by
# one. Who does not trust this script either checks the signature first, by the same openssl line.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$HOME/edgeline}
python=${PYTHON:-python3}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# signed: whether a trusted key signed the list of files; where none is trusted, that is not asked.
signed() {
    asked=
    for key in ${KEY:+"$KEY"} /etc/edgeline/trusted.d/*.pem "${XDG_CONFIG_HOME:-$HOME/.config}"/edgeline/trusted.d/*.pem; do
        [ -f "$key" ] || continue
        asked=yes
        [ ! -f SHA256SUMS.sig ] || ! openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in SHA256SUMS \
            -sigfile SHA256SUMS.sig >/dev/null 2>&1 || return 0
    done
    [ -z "$asked" ]
}

case $target in /*) ;; *) target=$PWD/$target ;; esac
cd "$here"
[ -z "$(find . ! -type f ! -type d)" ] || fail "the archive holds links or devices: copy it again"
listed=$(sed 's/^[0-9a-f]*  //' SHA256SUMS | LC_ALL=C sort)
held=$(find . -type f ! -path ./SHA256SUMS ! -path ./SHA256SUMS.sig | sed 's|^\./||' | LC_ALL=C sort)
[ "$listed" = "$held" ] || fail "the archive holds files that its list does not name, or lacks some: unpack it again"
sha256sum --check --quiet SHA256SUMS || fail "the archive was damaged on its way: copy it again"
signed || fail "no key that is trusted here signed this archive (openssl checks that): pack it again with --sign KEY"
found=$("$python" -I -c 'import platform, sys; print(platform.machine(), "%d.%d" % sys.version_info[:2])') ||
    fail "$python does not run; install Python @PYTHON@ or name it: PYTHON=/path/to/python3 sh install.sh"
[ "$found" = "@PLATFORM@ @PYTHON@" ] ||
    fail "this archive is for Python @PYTHON@ on @PLATFORM@, found $found; name another (PYTHON=...) or pack again"

# A place of its own: scripts of an environment hold its path, which therefore never changes.
name=$(sha256sum SHA256SUMS | cut -c 1-12)
made=versions/$name
number=1
while [ -e "$target/$made" ]; do
    number=$((number + 1))
    made=versions/$name-$number
done
mkdir -p "$target/$made/bundles" || fail "cannot make $target/$made; name another folder"
trap 'rm -rf "${target:?}/$made"' EXIT
trap 'exit 1' HUP INT TERM

# Without pip, which a Debian Python cannot give without more packages: the one beside this script installs.
"$python" -I -m venv --without-pip "$target/$made/venv" || fail "cannot make $target/$made/venv"
set -- wheels/pip-*.whl
env -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL -u PIP_FIND_LINKS PYTHONDONTWRITEBYTECODE=1 PIP_CONFIG_FILE=/dev/null \
    "$target/$made/venv/bin/python" "$1/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-index \
    --no-compile --find-links wheels --require-hashes -r requirements.txt ||
    fail "the wheels could not be installed; the lines above say why"
for bundle in bundles/*.edge; do
    cp -R "$bundle" "$target/$made/bundles/"
    "$target/$made/venv/bin/edge-run" "$target/$made/$bundle" --verify ||
        fail "$bundle does not run here as it should; what was installed before is as it was"
done

# Whole and tried: from here on it is what runs. A link is replaced in one step.
sync
for place in venv bundles; do
    [ -L "$target/$place" ] || [ ! -e "$target/$place" ] || mv "$target/$place" "$target/$place.before"
    [ -L "$target/$place" ] || ln -s "current/$place" "$target/$place"
done
ln -s "$made" "$target/.current.$$"
mv -T "$target/.current.$$" "$target/current"
trap - EXIT
echo "installed in $target; run: $target/venv/bin/edge-run $target/$bundle --source CAMERA"
