"""A filter of system calls (seccomp(2)): what no model needs, the network above all, fails with EPERM from now on."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

__all__ = ["forbid_calls"]

_MODE_FILTER, _ALL_THREADS = 1, 1  # linux/seccomp.h
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # linux/bpf_common.h
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_X32 = 0x40000000
# The number of seccomp(2) itself, the architecture's, and those that are forbidden:
# socket socketpair connect bind listen accept accept4 sendto sendmsg; ptrace process_vm_readv process_vm_writev; mount
# umount2 pivot_root chroot unshare setns; init_module finit_module delete_module kexec_load kexec_file_load bpf
# perf_event_open userfaultfd; add_key request_key keyctl; reboot swapon swapoff; open_by_handle_at; io_uring_setup
_FORBIDDEN = {
    "x86_64": (
        317,
        0xC000003E,
        (
            *(41, 53, 42, 49, 50, 43, 288, 44, 46, 101, 310, 311, 165, 166, 155, 161, 272, 308, 175, 313, 176, 246),
            *(320, 321, 298, 323, 248, 249, 250, 169, 167, 168, 304, 425),
        ),
    ),
    "aarch64": (
        277,
        0xC00000B7,
        (
            *(198, 199, 203, 200, 201, 202, 242, 206, 211, 117, 270, 271, 40, 39, 41, 51, 97, 268, 105, 273, 106, 104),
            *(294, 280, 241, 282, 217, 218, 219, 142, 224, 225, 265, 425),
        ),
    ),
}


def forbid_calls() -> bool:
    """Let them fail; wants no_new_privileges() before. False on other systems and processors, and older kernels."""
    found = _FORBIDDEN.get(platform.machine()) if sys.platform == "linux" and sys.maxsize > 1 << 32 else None
    if found is None:
        return False
    seccomp, architecture, numbers = found
    program = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),  # calls of another architecture have other numbers
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, len(numbers) + 1, 0),
        *(_step(_EQUAL, number, len(numbers) - place, 0) for place, number in enumerate(numbers)),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _ERRNO),
    ]
    code = ctypes.create_string_buffer(b"".join(program))
    held = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    call = ctypes.CDLL(None).syscall
    done: int = call(ctypes.c_long(seccomp), ctypes.c_uint(_MODE_FILTER), ctypes.c_uint(_ALL_THREADS), held)
    return done == 0


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
