#!/bin/sh
# Runs the runtime's tests, the sample bundle and an offline install on an emulated Cortex-A72 (Raspberry Pi 4) and
# A76 (Raspberry Pi 5), and compares the answers with this machine's. See README.md.
#
#   sh tools/arm/test.sh [--all] [--board a72|a76] [--bundle B.edge]...
#
#   --all      every test of the device half rather than the core's (an hour)
#   --board    one board only
#   --bundle   one more bundle to verify and compare; the sample always is
set -eu
. "$(dirname "$0")/place.sh"

all=0 boards="a72 a76"
sample=$checkout/samples/pcb
list=$(mktemp)
while [ $# -gt 0 ]; do
    case $1 in
        --all) all=1 ;;
        --board)
            case ${2:-} in a72 | a76) boards=$2 && shift ;; *) fail "expected --board a72 or a76, found '${2:-}'" ;; esac
            ;;
        --bundle)
            [ -f "${2:-}/manifest.json" ] || fail "expected a bundle's folder after --bundle, found '${2:-}'"
            (cd "$2" && pwd) >>"$list" && shift
            ;;
        *) fail "unknown option $1; see the first lines of $0" ;;
    esac
    shift
done
work=$(mktemp -d)
trap 'rm -rf "$work" "$list"' EXIT

# The core: what differs from one processor to another. Arithmetic and memory, processes, storage, the prepare child.
core="tests/devices/test_cpu.py tests/devices/test_memory.py"
for name in blocks/test_arena blocks/test_runner blocks/test_whole ort/test_block_session ort/test_process \
    prepare/test_lower prepare/test_make vision/test_preprocess test_engine; do
    core="$core tests/runtime/$name.py"
done
[ $all = 0 ] || core="tests/devices tests/runtime"

sh "$here/make_root.sh"
cd "$checkout"
export PYTHONDONTWRITEBYTECODE=1 XDG_CACHE_HOME="$work/cache" HYPOTHESIS_STORAGE_DIRECTORY="$work/hypothesis"
sources=$checkout/devices:$checkout/runtime:$checkout/tools
native=$arm/native/bin/python

# A network of its own, with nothing in it; a sandbox may refuse that.
offline="unshare --map-root-user --net"
$offline true 2>/dev/null || {
    offline=
    say "this machine grants no empty network (unshare): the installs below could reach one, though pip is told not to"
}

# pictures BUNDLE: the folder of images to run as well; the sample has one.
pictures() { [ "$1" != "$sample/pcb.edge" ] || printf '%s' "--images $sample/images"; }

# install PYTHON ARCHIVE NAME: unpack it in an empty folder, install, run.
install() {
    mkdir -p "$work/$3/device" "$work/$3/home"
    tar -xf "$2" -C "$work/$3/device"
    env -u PYTHONPATH HOME="$work/$3/home" XDG_CACHE_HOME="$work/$3/home/cache" PYTHON="$1" \
        $offline sh "$work/$3/device/edgeline-device/install.sh" 2>&1 | sed "s|$work|...|g"
    rm -rf "${work:?}/$3/device"
    [ -x "$work/$3/home/edgeline/venv/bin/edge-run" ] || return 1
    env -u PYTHONPATH XDG_CACHE_HOME="$work/$3/home/cache" $offline "$work/$3/home/edgeline/venv/bin/edge-run" \
        "$work/$3/home/edgeline/bundles/pcb.edge" --source "$sample/images" --max-frames 2 --headless --no-json
}

# one_board NAME: everything on one emulated board; fails if anything does.
one_board() {
    python=$arm/$1/bin/python3 result=0
    export PYTHONPATH="$arm/site:$sources" PATH="$arm/$1/bin:$PATH"
    if [ "$1" = "${boards##* }" ]; then # once: the wheels are the same
        echo "== $1: install offline"
        install "$python" "$work/aarch64.tar.gz" "$1" || result=1
    fi
    while read -r bundle; do
        name=$(basename "$bundle")
        echo "== $1: $name"
        "$python" -m edge_runtime.cli.run "$bundle" --verify 2>&1 || result=1
        # shellcheck disable=SC2046  # two words or none
        "$python" -m edge_tools.arm.outputs "$bundle" $(pictures "$bundle") -o "$work/$1-$name.npz" 2>&1 &&
            PYTHONPATH=$sources "$native" -m edge_tools.arm.agree "$bundle" "$work/x86-$name.npz" \
                "$work/$1-$name.npz" 2>&1 || result=1
    done <"$list"
    echo "== $1: tests"
    # shellcheck disable=SC2086  # several words
    "$python" -m pytest -q -p no:cacheprovider -p edge_tools.arm.emulated $core 2>&1 || result=1
    return $result
}

say "packing the sample for a device ..."
export PYTHONPATH="$sources"
for platform in aarch64 x86_64; do
    version=3.11
    [ $platform = aarch64 ] || version=$("$native" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$native" -m edge_tools.device_pack "$sample/pcb.edge" --platform $platform --python "$version" \
        -o "$work/$platform.tar.gz" || fail "the archive for $platform could not be made"
done
status=0
echo "== this machine: install offline"
install "$native" "$work/x86_64.tar.gz" x86 || status=1
echo "$sample/pcb.edge" >>"$list"
while read -r bundle; do
    # shellcheck disable=SC2046  # two words or none
    "$native" -m edge_tools.arm.outputs "$bundle" $(pictures "$bundle") -o "$work/x86-$(basename "$bundle").npz" ||
        fail "$bundle does not run on this machine"
done <"$list"

say "running on $boards ..."
for board in $boards; do
    (one_board "$board" >"$work/$board.log" && touch "$work/$board.ok") &
done
wait
for board in $boards; do
    cat "$work/$board.log"
    [ -e "$work/$board.ok" ] || status=1
done
[ $status = 0 ] || fail "ARM: something above failed"
echo "ARM: all passed on $boards"
