"""The folder of an export: what may be replaced, and a finished copy put in its place."""

from pathlib import Path

from services.reward_filtering.card import PICTURE, has_marker
from services.runtime.errors import Rejected
from services.runtime.storage_errors import storage_errors

CARD = "README.md"


def refuse_foreign(target: Path, name: str) -> None:
    """Refuse to replace anything but what an earlier export of the same dataset wrote."""
    hint = "choose another folder or move it away"
    with storage_errors(target):
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise Rejected(f"{target}: not a folder; {hint}")
        if not target.is_dir() or not any(target.iterdir()):
            return
        card = target / CARD
        text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
        if not has_marker(text, name):
            raise Rejected(f"{target}: holds no earlier export of dataset {name!r}; {hint}")
        ours = {card, target / PICTURE, target / "data"}
        ours |= set((target / "data").glob("train-*-of-*.*"))
        if others := sorted(set(target.rglob("*")) - ours):
            raise Rejected(f"{target}: holds files that are not of an export: {others[0]}; {hint}")


def put_in_place(made: Path, target: Path, replaced: Path) -> None:
    """Rename a finished copy to its place; what was there goes to `replaced`."""
    if not target.exists():
        made.rename(target)
        return
    target.rename(replaced)
    try:
        made.rename(target)
    except OSError:
        replaced.rename(target)
        raise
