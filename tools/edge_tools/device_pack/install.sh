#!/bin/sh
# Installs Edgeline's runtime on this device from the wheels beside this script, without a network, and verifies the
# bundles beside it:  sh install.sh [FOLDER]   (default: ~/edgeline; PYTHON=python3.11 chooses another Python)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$HOME/edgeline}
python=${PYTHON:-python3}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

cd "$here"
sha256sum --check --quiet SHA256SUMS || fail "the archive was damaged on its way: copy it again"
found=$("$python" -I -c 'import platform, sys; print(platform.machine(), "%d.%d" % sys.version_info[:2])') ||
    fail "$python does not run; install Python @PYTHON@ or name it: PYTHON=/path/to/python3 sh install.sh"
[ "$found" = "@PLATFORM@ @PYTHON@" ] ||
    fail "this archive is for Python @PYTHON@ on @PLATFORM@, found $found; name another (PYTHON=...) or pack again"

# Without pip, which a Debian Python cannot give without more packages: the one beside this script installs.
"$python" -I -m venv --clear --without-pip "$target/venv" || fail "cannot make $target/venv; name another folder"
set -- wheels/pip-*.whl
env -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL -u PIP_FIND_LINKS PYTHONDONTWRITEBYTECODE=1 PIP_CONFIG_FILE=/dev/null \
    "$target/venv/bin/python" "$1/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-index \
    --no-compile --find-links wheels @REQUIREMENTS@ || fail "the wheels could not be installed; the lines above say why"
for bundle in bundles/*.edge; do
    mkdir -p "$target/bundles"
    rm -rf "$target/$bundle"
    cp -R "$bundle" "$target/bundles/"
    "$target/venv/bin/edge-run" "$target/$bundle" --verify
done
echo "installed in $target; run: $target/venv/bin/edge-run $target/$bundle --source CAMERA"
