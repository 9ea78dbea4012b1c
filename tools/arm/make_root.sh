#!/bin/sh
# Makes the emulated machine: qemu-user, an arm64 Debian with Python 3.11, and aarch64 wheels.
#
# Everything is unpacked into one folder, $EDGELINE_ARM_CACHE or ~/.cache/edgeline/arm (1 GB): nothing is installed on
# this machine, no root is needed, no binfmt is registered. Packages come from where this machine's apt and pip are told
# to take them, by mirrors and proxies as well; apt checks the signatures of Debian's, pip the hashes in
# requirements.txt. What is there already is kept; a run that was cut off goes on where it was.
set -eu
. "$(dirname "$0")/place.sh"

# qemu-user rather than qemu-user-static: it can load the plugin that counts instructions (count.sh).
qemu="qemu-user libcapstone4 libffi8 libglib2.0-0 libgmp10 libgnutls30 libhogweed6 libidn2-0 libnettle8 libnuma1
    libp11-kit0 libpcre2-8-0 libtasn1-6 libunistring2 liburing2 zlib1g"
python="python3.11 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libbz2-1.0 libc6 libexpat1 libffi8
    libgcc-s1 liblzma5 libsqlite3-0 libssl3 libstdc++6 libuuid1 zlib1g"

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    fail "expected Linux on x86-64 to emulate ARM on, found $(uname -s) on $(uname -m); on ARM run: sh tools/test.sh"

# once STEP [FILE]: run the function STEP unless it ran to its end before, as this script and FILE are.
once() {
    stamp="$arm/done/$1-$(cat "$here/make_root.sh" ${2:+"$2"} | sha256sum | cut -c 1-16)"
    [ ! -e "$stamp" ] || return 0
    # On its own line, not in a condition: there, set -e would not count.
    "$1"
    touch "$stamp"
}

# fetch NAME ARCHITECTURE PACKAGE...: download Debian packages and unpack them into the folder NAME.
fetch() {
    name=$1 architecture=$2
    shift 2
    rm -rf "$arm/$name.tmp" "$arm/debs"
    mkdir -p "$arm/debs" "$arm/$name.tmp"
    for package; do set -- "$@" "$package:$architecture" && shift; done
    (cd "$arm/debs" && apt-get download -qq "$@") ||
        fail "this machine's apt sources have not all of Debian 12's packages ($architecture), or the network is away"
    for file in "$arm/debs/"*.deb; do dpkg-deb -x "$file" "$arm/$name.tmp"; done
    rm -rf "${arm:?}/$name" "$arm/debs"
    mv "$arm/$name.tmp" "$arm/$name"
}

debian() {
    for tool in apt-get dpkg-deb; do
        command -v "$tool" >/dev/null || fail "$tool is missing: the emulated machine is made of Debian packages, by apt"
    done
    say "fetching qemu and an arm64 Python with apt ..."
    # apt with folders of its own: it reads this machine's sources and trust and changes nothing of it.
    rm -rf "$arm/apt"
    mkdir -p "$arm/apt/lists/partial" "$arm/apt/cache/archives/partial" "$arm/apt/sources"
    : >"$arm/apt/status"
    eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
    # The wheels are Python 3.11's, which is Debian 12's.
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-bookworm}")
    for file in "$list" "$parts"/*.list "$parts"/*.sources; do
        [ ! -f "$file" ] || sed "s/\b$codename\b/bookworm/g" "$file" >"$arm/apt/sources/${file##*/}"
    done
    {
        # Proxies, certificates, passwords; none of the commands that an update would run on this machine.
        apt-config dump | grep '^Acquire::'
        cat <<EOF
APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$arm/apt";
Dir::State::lists "$arm/apt/lists";
Dir::State::status "$arm/apt/status";
Dir::Cache "$arm/apt/cache";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$arm/apt/sources";
EOF
    } >"$arm/apt/apt.conf"
    export APT_CONFIG="$arm/apt/apt.conf"
    apt-get update -qq || fail "cannot read the lists of this machine's apt sources: is the network there? Run it again"
    fetch qemu amd64 $qemu
    fetch root arm64 $python
    # Of the host's emulators one is needed, and the lists not any more.
    find "$arm/qemu/usr/bin" -type f ! -name qemu-aarch64 -delete
    rm -rf "$arm/apt"
}

# A Python of this machine's with pip and, to compare with, the same versions of what runs a bundle.
native() {
    rm -rf "$arm/native"
    if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        [ "$(id -u)" = 0 ] || fail "python3 with venv is missing; install it: apt-get install python3 python3-venv"
        say "installing python3-venv ..."
        apt-get update -qq && apt-get install -y -qq python3 python3-venv >/dev/null ||
            fail "cannot install python3-venv: is the network there? Run it again"
    fi
    python3 -m venv "$arm/native"
    say "fetching wheels for x86-64 ..."
    # Pinned as on ARM, but without hashes: this Python may be another version, with wheels of its own.
    sed -n 's/ *\\$//; /==/p' "$here/requirements.txt" >"$arm/versions.txt"
    pip install --constraint "$arm/versions.txt" click numpy onnxruntime opencv-python-headless simplejpeg ||
        fail "cannot fetch wheels for x86-64: is the network there? Run it again"
}

pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 "$arm/native/bin/python" -m pip --quiet --retries 5 "$@" 2>"$arm/pip.log" || {
    grep -v '^WARNING: \(Location\|Running\)' "$arm/pip.log" >&2
    return 1
}; }

wheels() {
    say "fetching wheels for aarch64 (about 180 MB) ..."
    rm -rf "$arm/site.tmp"
    set -- --target "$arm/site.tmp" --python-version 3.11 --implementation cp --only-binary :all: --require-hashes
    for tag in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do set -- "$@" --platform "${tag}_aarch64"; done
    pip install "$@" --requirement "$here/requirements.txt" ||
        fail "cannot fetch wheels for aarch64: is the network there? Run it again"
    rm -rf "$arm/site"
    mv "$arm/site.tmp" "$arm/site"
}

# board NAME CPU MODEL COMPATIBLE PART VARIANT REVISION FEATURES: what one emulated board shows, and its python3.
board() {
    rm -rf "${arm:?}/$1"
    mkdir -p "$arm/$1/proc/device-tree" "$arm/$1/bin"
    for folder in usr lib etc; do ln -s "../root/$folder" "$arm/$1/$folder"; done
    printf '%s\0' "$3" >"$arm/$1/proc/device-tree/model"
    # shellcheck disable=SC2086  # several words
    printf '%s\0' $4 >"$arm/$1/proc/device-tree/compatible"
    # qemu 7.2 shows the host's /proc/cpuinfo, and onnxruntime from 1.28 on crashes at import over an x86 one.
    for core in 0 1 2 3; do
        printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: %s\nCPU implementer\t: 0x41\n' "$core" "$8"
        printf 'CPU architecture: 8\nCPU variant\t: %s\nCPU part\t: %s\nCPU revision\t: %s\n\n' "$6" "$5" "$7"
    done >"$arm/$1/proc/cpuinfo"
    printf 'Model\t\t: %s\n' "$3" >>"$arm/$1/proc/cpuinfo"
    # A script, so that the kernel starts it and qemu by itself wherever `sys.executable` is run, in a virtual
    # environment too: Python looks for one beside the name it was called by (-0).
    cat >"$arm/$1/bin/python3" <<EOF
#!/bin/sh
export LD_LIBRARY_PATH="$arm/qemu/usr/lib/x86_64-linux-gnu:$arm/qemu/lib/x86_64-linux-gnu"
exec "$arm/qemu/usr/bin/qemu-aarch64" -U LD_LIBRARY_PATH -0 "\$0" -cpu $2 -L "$arm/$1" "$arm/root/usr/bin/python3.11" "\$@"
EOF
    chmod +x "$arm/$1/bin/python3"
    "$arm/$1/bin/python3" -c 'import ctypes, platform, ssl, sqlite3; assert platform.machine() == "aarch64"' ||
        fail "the emulated $3 does not start; delete $arm and run it again"
}

boards() {
    board a72 cortex-a72 "Raspberry Pi 4 Model B Rev 1.4" "raspberrypi,4-model-b brcm,bcm2711" 0xd08 0x0 3 \
        "fp asimd evtstrm crc32 cpuid"
    board a76 cortex-a76 "Raspberry Pi 5 Model B Rev 1.0" "raspberrypi,5-model-b brcm,bcm2712" 0xd0b 0x4 1 \
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
}

mkdir -p "$arm/done"
free=$(df -Pk "$arm" | awk 'NR == 2 {print int($4 / 1024)}')
[ -d "$arm/site" ] || [ "$free" -ge 1500 ] || fail "$arm has $free MB left; the emulated machine takes about 1 GB"
# One at a time.
exec 9>"$arm/lock"
flock 9
once debian
once native "$here/requirements.txt"
once wheels "$here/requirements.txt"
once boards
