# Read by the scripts beside it: where the emulated machine lies, and how to say that something cannot be done.
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
arm=${EDGELINE_ARM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/edgeline/arm}
case $arm in /*) ;; *) arm=$PWD/$arm ;; esac

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "error: $*"
    exit 1
}
