#!/bin/sh
# Instructions per frame on an emulated Cortex-A72 (Raspberry Pi 4) and A76 (Pi 5), counted by a plugin of qemu's.
#
#   sh tools/arm/count.sh                     the sample: its FP32 original, its int8 graph, its bundle
#   sh tools/arm/count.sh [X.onnx] B.edge     others
#
# A proxy, not a speed: an instruction that waits for memory counts as much as one that does not (README.md).
set -eu
. "$(dirname "$0")/place.sh"
sh "$here/make_root.sh"
sample="$checkout/samples/pcb"
[ $# -gt 0 ] || set -- "$sample/pcb.onnx" "$sample/pcb.edge/model.onnx" "$sample/pcb.edge"

if ! command -v gcc >/dev/null; then
    [ "$(id -u)" = 0 ] || fail "gcc is missing to build qemu's plugin with; install it: apt-get install gcc libc6-dev"
    say "installing gcc ..."
    apt-get update -qq && apt-get install -y -qq gcc libc6-dev >/dev/null ||
        fail "cannot install gcc: is the network there? Run it again"
fi
gcc -O2 -Wall -Wextra -Werror -shared -fPIC -o "$arm/count.so" "$here/count.c"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work" PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH="$arm/site:$checkout/devices:$checkout/runtime:$checkout/tools"

# counted BOARD FILE: the median frame's instructions, in millions.
counted() {
    # Once without counting, so that a bundle is prepared.
    [ ! -d "$2" ] || "$arm/$1/bin/python3" -m edge_tools.arm.frames --frames 1 "$2" >/dev/null 2>"$work/log" || return 1
    QEMU_PLUGIN="$arm/count.so" "$arm/$1/bin/python3" -m edge_tools.arm.frames "$2" 2>"$work/log" || return 1
    awk '$1 == "instructions" {if (seen++) print ($2 - last) / 1e6; last = $2}' "$work/log" | sort -n |
        awk '{value[NR] = $1} END {if (!NR) exit 1; print value[int((NR + 1) / 2)]}'
}

echo "millions of instructions per frame, one thread (a proxy: emulated, no time was measured)"
printf '%-44s %12s %12s\n' "" "Cortex-A72" "Cortex-A76"
for file; do
    [ -e "$file" ] || fail "$file is not there; name ONNX files and bundles"
    case $file in /*) ;; *) file=$PWD/$file ;; esac
    a72=$(counted a72 "$file") || fail "$file does not run: $(tail -n 1 "$work/log")"
    a76=$(counted a76 "$file") || fail "$file does not run: $(tail -n 1 "$work/log")"
    # The first line is what the others are compared with.
    first72=${first72:-$a72} first76=${first76:-$a76}
    name=$(basename "$(dirname "$file")")/$(basename "$file")
    printf '%-44s %12s %12s\n' "$name" "$(awk "BEGIN {printf \"%.1f (%.2fx)\", $a72, $first72 / $a72}")" \
        "$(awk "BEGIN {printf \"%.1f (%.2fx)\", $a76, $first76 / $a76}")"
done
