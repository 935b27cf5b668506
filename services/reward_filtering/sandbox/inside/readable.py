"""What of the file system the code may read: the standard library and what that needs."""

import os

__all__ = ["DEVICES", "HIDDEN", "readable_paths", "standard_library"]

HIDDEN = ("site-packages", "dist-packages")
"""Folders of the standard library that hold other packages: in an image, the service's own."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
_FILES = ("/etc/ld.so.cache", "/etc/localtime")


def standard_library() -> str:
    """Return the folder of this interpreter's standard library."""
    return os.path.dirname(os.path.abspath(os.__file__))


def readable_paths() -> list[str]:
    """Return folders and files that are there, outer ones before what they contain."""
    wanted = [*_SYSTEM, *_FILES, standard_library()]
    return [path for path in wanted if os.path.exists(path)]
