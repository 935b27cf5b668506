"""A file system, network, process tree and user of one's own, without a privilege.

See user_namespaces(7), mount_namespaces(7), pivot_root(2).
"""

import ctypes
import os
import struct

from .kernel import call, syscall
from .readable import DEVICES, HIDDEN, readable_paths, standard_library

__all__ = ["enter_namespaces"]

CLONE_NEW = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
READ_ONLY, NO_SETUID, NO_DEVICES, NO_PROGRAMS, REMOUNT, BIND, RECURSIVE, PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
DETACH = 2
MOUNT_SETATTR = 442
AT_FDCWD = -100
AT_RECURSIVE = 0x8000
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
INSIDE_ID = 1000
NOBODY = 65534
FILES_AT_MOST = 4096


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _map_ids(process: int, maps: dict[str, str]) -> None:
    for name, text in maps.items():
        _write(f"/proc/{process}/{name}", text)


def _unshare() -> None:
    """Leave the namespaces of the service.

    Root becomes nobody inside: a root that is outside the namespace's map owns nothing of the
    service's, and limits on processes hold. Only a process outside may write such a map.
    """
    flags = sum(CLONE_NEW.values())
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        call("unshare", flags)
        _map_ids(
            os.getpid(),
            {
                "setgroups": "deny",
                "uid_map": f"{INSIDE_ID} {user} 1",
                "gid_map": f"{INSIDE_ID} {group} 1",
            },
        )
        return
    process = os.getpid()
    read_end, write_end = os.pipe()
    mapper = os.fork()
    if mapper == 0:
        status = 1
        try:
            os.close(write_end)
            if os.read(read_end, 1):
                text = f"0 0 1\n{INSIDE_ID} {NOBODY} 1\n"
                _map_ids(process, {"uid_map": text, "gid_map": text})
                status = 0
        finally:
            os._exit(status)
    os.close(read_end)
    try:
        call("unshare", flags)
        os.write(write_end, b"1")
    finally:
        os.close(write_end)
        _, status = os.waitpid(mapper, 0)
    if status != 0:
        raise OSError("uid_map: could not be written")


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    call(
        "mount",
        source.encode(),
        target.encode(),
        kind.encode(),
        ctypes.c_ulong(flags),
        options.encode() or None,
    )


def _bind(source: str, target: str, read_only: bool) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _write(target, "")
    _mount(source, target, "none", BIND | RECURSIVE)
    if read_only:
        # MOUNT_ATTR_RDONLY, NOSUID and NODEV have the values of the old flags. Recursive, because
        # container runtimes bind files of the host below /usr/lib.
        attributes = struct.pack("=QQQQ", READ_ONLY | NO_SETUID | NO_DEVICES, 0, 0, 0)
        size = ctypes.c_size_t(len(attributes))
        path = target.encode()
        syscall("mount_setattr", MOUNT_SETATTR, AT_FDCWD, path, AT_RECURSIVE, attributes, size)


def _build(root: str, work: str, file_bytes: int) -> None:
    _mount("tmpfs", root, "tmpfs", NO_SETUID | NO_DEVICES, "size=1m,mode=755")
    for path in readable_paths():
        if os.path.islink(path) and not os.path.isabs(os.readlink(path)):
            os.symlink(os.readlink(path), root + path)
        else:
            _bind(path, root + path, read_only=True)
    for name in HIDDEN:
        hidden = f"{root}{standard_library()}/{name}"
        if os.path.isdir(hidden):
            _mount("tmpfs", hidden, "tmpfs", READ_ONLY | NO_SETUID | NO_DEVICES, "mode=755")
    for path in DEVICES:
        _bind(path, root + path, read_only=False)
    os.makedirs(root + work)
    options = f"size={file_bytes},nr_inodes={FILES_AT_MOST},mode=777"
    _mount("tmpfs", root + work, "tmpfs", NO_SETUID | NO_DEVICES | NO_PROGRAMS, options)
    os.symlink(work, root + "/tmp")


def enter_namespaces(root: str, work: str, file_bytes: int) -> None:
    """Enter namespaces of one's own; children are in a new process tree, this process is not.

    `root` is an empty folder, on which a tree of read-only mounts is built and made the root;
    `work` is the path inside of a writable file system in memory of `file_bytes`. Raises OSError if
    the kernel or the container forbids it.
    """
    _unshare()
    _mount("none", "/", "none", RECURSIVE | PRIVATE)
    _build(root, work, file_bytes)
    os.chdir(root)
    syscall("pivot_root", PIVOT_ROOT[os.uname().machine], b".", b".")
    call("umount2", b".", DETACH)
    os.chdir("/")
    _mount("none", "/", "none", REMOUNT | BIND | READ_ONLY | NO_SETUID | NO_DEVICES)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
        os.setresuid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
