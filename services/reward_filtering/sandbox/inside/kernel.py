"""Calls to the kernel that the standard library does not offer."""

import ctypes
import os

__all__ = ["LIBC", "OsCallError", "call", "die_with_parent", "drop_capabilities", "syscall"]

LIBC = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAPABILITY_VERSION_3 = 0x20080522
SIGKILL = 9


class OsCallError(OSError):
    """A call that the kernel refused; its text names the call."""


def call(name: str, *arguments: object) -> int:
    """Call a function of the C library; raises OsCallError if it gives a negative number."""
    result = int(getattr(LIBC, name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OsCallError(number, f"{name}: {os.strerror(number)}")
    return result


def syscall(name: str, number: int, *arguments: object) -> int:
    """Make a system call that the C library has no function for; raises OsCallError."""
    result = int(LIBC.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OsCallError(error, f"{name}: {os.strerror(error)}")
    return result


def prctl(option: int, value: int = 0, third: int = 0) -> int:
    """Call prctl with unused arguments zero, as the kernel demands."""
    long = ctypes.c_ulong
    return call("prctl", option, long(value), long(third), long(0), long(0))


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; exits if that has happened.

    `parent` is the parent's id as this process sees it: 0 if that is outside its pid namespace.
    """
    prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def drop_capabilities() -> None:
    """Give up every capability, for good: no program started from here can get one back."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OsCallError:
            break  # past the last one of this kernel, or not ours to drop: no_new_privs holds
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())
