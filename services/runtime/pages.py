"""Pages of listings: opaque tokens that say where the next page begins, and their merging.

A token names the last item that was given out, not a number of items: what is added in between
neither repeats nor skips an item. It holds on every replica.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import TypeVar

import orjson

from services.runtime.errors import Rejected

_MAX_TOKEN = 8192
"""Characters of a token, at most."""

T = TypeVar("T")


def page_size(asked: int, default: int, most: int) -> int:
    """Return how many items a page holds; 0 asks for the default.

    Raises:
        Rejected: below 0 or above `most`.
    """
    if not 0 <= asked <= most:
        raise Rejected(f"page_size {asked}: give 1 to {most}, or 0 for {default}")
    return asked or default


def page_token(listing: str, place: object) -> str:
    """Return the token of a place in a listing; `place` is a string or other plain JSON."""
    return base64.urlsafe_b64encode(orjson.dumps([listing, place])).decode()


def page_place(listing: str, token: str) -> object:
    """Return the place that a token of this listing names; None for an empty token.

    Raises:
        Rejected: no listing of that name has given out such a token.
    """
    if not token:
        return None
    if len(token) <= _MAX_TOKEN:
        try:
            content = orjson.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        except (binascii.Error, ValueError):
            content = None
        if isinstance(content, list) and len(content) == 2 and content[0] == listing:
            return content[1]
    raise bad_token(token)


def page_start(listing: str, token: str) -> str:
    """Return after which key a page begins; empty: at the first one.

    Raises:
        Rejected: no listing of that name has given out such a token.
    """
    place = page_place(listing, token)
    if place is None:
        return ""
    if not isinstance(place, str):
        raise bad_token(token)
    return place


def bad_token(token: str) -> Rejected:
    """Return what says that a token was not given out."""
    return Rejected(
        f"page_token {token[:40]!r} was not given out by this listing: give the next_page_token of "
        "the page before, unchanged, or none for the first page"
    )


def page_of(
    listing: str,
    parts: Iterable[Iterable[T]],
    key: Callable[[T], str],
    size: int,
    more: bool = False,
) -> tuple[list[T], str]:
    """Return the first `size` items by key, and the token of the next page if there is one.

    Args:
        listing: its name.
        parts: the first items of each replica; an item that two of them have, because it just
            changed its owner, is taken once.
        key: of an item, unique in the listing.
        size: of a page.
        more: whether a replica has more than it gave.
    """
    by_key: dict[str, T] = {}
    for part in parts:
        for item in part:
            by_key.setdefault(key(item), item)
    keys = sorted(by_key)
    page = [by_key[each] for each in keys[:size]]
    rest = bool(page) and (more or len(keys) > size)
    return page, page_token(listing, keys[len(page) - 1]) if rest else ""
