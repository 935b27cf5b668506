"""Access to files by Landlock, for want of a mount namespace.

Needs no privilege (Linux 5.13, Documentation/userspace-api/landlock.rst). It denies opening,
making and removing; names, sizes and times of files stay visible, since it does not mediate stat.
"""

import ctypes
import os
import struct

from .kernel import call, prctl, syscall
from .readable import DEVICES, HIDDEN, readable_paths, standard_library

__all__ = ["confine_files"]

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION = 1
PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS = 38

WRITE_FILE, READ_FILE, READ_DIRECTORY = 1 << 1, 1 << 2, 1 << 3
FIRST_RIGHTS = (1 << 13) - 1
"""Execute, write, read, list, remove, make: the rights of the first version."""
REFER, TRUNCATE, DEVICE_CONTROL = 1 << 13, 1 << 14, 1 << 15
FILE_RIGHTS = WRITE_FILE | READ_FILE | TRUNCATE
BIND_AND_CONNECT = 3
ABSTRACT_SOCKETS_AND_SIGNALS = 3


def _handled(version: int) -> tuple[int, int, int]:
    files = FIRST_RIGHTS
    for since, right in ((2, REFER), (3, TRUNCATE), (5, DEVICE_CONTROL)):
        files |= right if version >= since else 0
    network = BIND_AND_CONNECT if version >= 4 else 0
    return files, network, ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= FILE_RIGHTS
        attribute = struct.pack("=Qi", rights, opened)
        syscall("landlock_add_rule", ADD_RULE, ruleset, PATH_BENEATH, attribute, 0)
    finally:
        os.close(opened)


def confine_files(work: str) -> None:
    """Confine this thread to reading the standard library and to the folder `work`.

    Raises OSError if the kernel has no Landlock.
    """
    version = syscall("landlock_create_ruleset", CREATE_RULESET, None, ctypes.c_size_t(0), VERSION)
    files, network, scopes = _handled(version)
    attribute = struct.pack("=QQQ", files, network, scopes)
    size = ctypes.c_size_t(24 if version >= 6 else 16 if version >= 4 else 8)
    ruleset = syscall("landlock_create_ruleset", CREATE_RULESET, attribute, size, 0)
    library = standard_library()
    for path in readable_paths():
        if path == library:
            # Rules only add: the parts are named one by one, so that other packages stay out.
            _allow(ruleset, library, READ_DIRECTORY)
            for name in os.listdir(library):
                if name not in HIDDEN:
                    _allow(ruleset, os.path.join(library, name), READ_FILE | READ_DIRECTORY)
        else:
            _allow(ruleset, path, READ_FILE | READ_DIRECTORY)
    for path in DEVICES:
        _allow(ruleset, path, (READ_FILE | WRITE_FILE) & files)
    _allow(ruleset, work, files)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscall("landlock_restrict_self", RESTRICT_SELF, ruleset, 0)
    call("close", ruleset)
