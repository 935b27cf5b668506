"""The system call filter: no network, no other process, no other program.

A classic BPF program over `struct seccomp_data` (Linux, Documentation/userspace-api/
seccomp_filter.rst). It holds for all threads that come of this one and cannot be removed.
"""

import ctypes
import errno
import os
import struct

from .kernel import call, prctl
from .syscalls import ALLOWED, METADATA, RULED, numbers

__all__ = ["forbid_system_calls", "program"]

PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
MODE_FILTER = 2

KILL_PROCESS = 0x80000000
ALLOW = 0x7FFF0000
ERRNO = 0x00050000

LOAD = 0x20
JUMP_IF_EQUAL = 0x15
JUMP_IF_AT_LEAST = 0x35
JUMP_IF_ANY_BIT = 0x45
RETURN = 0x06

NUMBER_OFFSET = 0
MACHINE_OFFSET = 4
AUDIT_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

FIRST_COMMON_NUMBER = 424
"""Calls since Linux 5.1 have one number everywhere; libraries know what to do without them."""

CLONE_THREAD = 0x10000
AF_UNIX = 1
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)
"""Duplicate, flags, locks. Not F_SETOWN and F_SETSIG, which send signals to other processes."""
IOCTL_REQUESTS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
PRCTL_OPTIONS = (15, 16)
"""A thread's name. Not the death signal, nor whether others may trace this process."""

Instruction = tuple[int, int, int, int]


def _argument(index: int, high: bool = False) -> Instruction:
    # Both machines are little-endian: the low word comes first.
    return (LOAD, 0, 0, 16 + 8 * index + 4 * high)


def _return(value: int) -> Instruction:
    return (RETURN, 0, 0, value)


def _one_of(index: int, values: tuple[int, ...]) -> list[Instruction]:
    checks: list[Instruction] = [_argument(index)]
    for value in values:
        checks += [(JUMP_IF_EQUAL, 0, 1, value), _return(ALLOW)]
    return [*checks, _return(ERRNO | errno.EPERM)]


def _rules(process: int) -> dict[str, list[Instruction]]:
    refuse = _return(ERRNO | errno.EPERM)
    return {
        "clone": [_argument(0), (JUMP_IF_ANY_BIT, 0, 1, CLONE_THREAD), _return(ALLOW), refuse],
        "fcntl": _one_of(1, FCNTL_COMMANDS),
        "ioctl": _one_of(1, IOCTL_REQUESTS),
        "kill": _one_of(0, (process,)),
        "tgkill": _one_of(0, (process,)),
        "prctl": _one_of(0, PRCTL_OPTIONS),
        "prlimit64": _one_of(0, (0,)),
        "socketpair": _one_of(0, (AF_UNIX,)),
        # With an address, a datagram would reach any socket with a name.
        "sendto": [
            _argument(4),
            (JUMP_IF_EQUAL, 0, 3, 0),
            _argument(4, high=True),
            (JUMP_IF_EQUAL, 0, 1, 0),
            _return(ALLOW),
            refuse,
        ],
    }


def program(machine: str, process: int, private_files: bool) -> list[Instruction]:
    """Return the filter's instructions (code, jump if true, jump if false, operand).

    `process` is the id of the process that it is for, the only one that may be signalled;
    `private_files` allows changes of file modes and times.
    """
    allowed = numbers(ALLOWED, machine) | (numbers(METADATA, machine) if private_files else {})
    ruled = numbers(RULED, machine)
    rules = _rules(process)
    code: list[Instruction] = [
        (LOAD, 0, 0, MACHINE_OFFSET),
        (JUMP_IF_EQUAL, 1, 0, AUDIT_MACHINES[machine]),
        _return(KILL_PROCESS),
        (LOAD, 0, 0, NUMBER_OFFSET),
    ]
    for number in sorted(allowed.values()):
        code += [(JUMP_IF_EQUAL, 0, 1, number), _return(ALLOW)]
    for name, number in ruled.items():
        code += [(JUMP_IF_EQUAL, 0, len(rules[name]), number), *rules[name]]
    return [
        *code,
        (JUMP_IF_AT_LEAST, 0, 1, FIRST_COMMON_NUMBER),
        _return(ERRNO | errno.ENOSYS),
        _return(ERRNO | errno.EPERM),
    ]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def forbid_system_calls(private_files: bool) -> None:
    """Confine this thread, and all that come of it, to the calls of the list.

    Raises OSError if the kernel has no such filter or the machine is neither x86-64 nor 64-bit Arm.
    """
    machine = os.uname().machine
    if machine not in AUDIT_MACHINES:
        raise OSError(errno.ENOSYS, f"seccomp: no list of system calls for {machine}")
    code = program(machine, os.getpid(), private_files)
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    filter_program = _Program(len(code), ctypes.addressof(buffer))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    call("prctl", PR_SET_SECCOMP, ctypes.c_ulong(MODE_FILTER), ctypes.byref(filter_program), 0, 0)
