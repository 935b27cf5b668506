"""Profiles of people: what a valid one is, and how it loses its identity."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random

import orjson

from services.runtime.errors import Rejected
from services.runtime.identifiers import Identifier, scrub, surviving
from services.runtime.ids import derived_id, derived_seed

_LIMITS = {"id": 200, "name": 200, "headline": 300, "description": 20_000}
_ACTION_LIMIT = 2_000
_ACTIONS_LIMIT = 100
SYNONYMS = {
    "id": ("id", "profile_id"),
    "name": ("name",),
    "description": ("description", "bio", "persona"),
    "actions": ("actions", "past_actions", "history"),
    "headline": ("headline", "title"),
    "synthetic": ("synthetic",),
}
"""What a field may be called in a file, the first that is there being taken."""
_HARMLESS = str.maketrans({"\t": " ", "\r": " ", "\n": " ", "\v": " ", "\f": " "})
_UNSEEN = dict.fromkeys(
    [
        *(*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0xFEFF),
        # Soft hyphens and zero-width breaks hide names from the rules, tag characters whole texts.
        *(0x00AD, 0x200B, 0x2060, *range(0xE0000, 0xE0080)),
    ],
    None,
)
_FIRST_NAMES = tuple(
    "Ada Adil Aiko Alba Amara Amir Anouk Anton Asha Ayla Bashir Bela Bo Bruna Camilo Carmen Chidi "
    "Clara Dalia Daniel Dara Davit Dina Dragan Edda Efua Elif Emil Enzo Esra Eva Farid Femi Fiona "
    "Gael Gita Goran Greta Hadi Hana Hassan Helga Hugo Ida Idris Ilse Imani Ines Irina Isla Ivo "
    "Jana Jamal Jin Joana Jonas Jun Kaja Kamil Karim Kato Kenji Kim Kofi Lale Lars Layla Leo Lena "
    "Lin Lior Luca Lucia Madi Malik Mara Marek Maya Mei Milan Mina Miro Moana Nadia Naomi Nia "
    "Nikos Nils Noor Nuno Obi Olga Omar Oona Orla Otto Paola Pavel Petra Priya Quinn Rafa Rana "
    "Ravi Reza Rita Rosa Rui Sabine Sami Sana Santi Sasha Selin Sofia Soren Suda Suki Tadeo Talia "
    "Tariq Tea Teo Thabo Tilda Tomas Tuva Uma Vera Viktor Wanda Wei Xenia Yael Yan Yara Yusuf "
    "Zahra Zeno Zita Zola Zuri Agnes Baran Cyrus Dilan Elias Freya Hiro Jaya Linus Nora".split()
)


class ProfileError(Rejected):
    """A profile cannot be taken in."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Profile:
    """A person as a file describes them."""

    profile_id: str
    name: str
    description: str
    actions: tuple[str, ...] = ()
    headline: str = ""
    synthetic: bool = False
    """Made up: nobody's identity is at stake, and nothing is anonymised."""


def parse_profile(fields: Mapping[str, object]) -> Profile:
    """Return the profile of a row of a file.

    Line breaks and tabs become spaces, direction overrides, byte-order marks and other marks that
    nobody sees are dropped, text is brought to NFC; other control characters are refused. Unknown
    fields are ignored.

    Raises:
        ProfileError: a field is missing, of another type, too long, or holds control characters.
    """
    name = _text("name", _pick(fields, "name"), required=True)
    description = _text("description", _pick(fields, "description"), required=True)
    given = _pick(fields, "id")
    profile_id = _text("id", str(given) if isinstance(given, int) else given)
    synthetic = _pick(fields, "synthetic")
    return Profile(
        profile_id=profile_id or "p-" + derived_id("profile", name, description),
        name=name,
        description=description,
        actions=_actions(_pick(fields, "actions")),
        headline=_text("headline", _pick(fields, "headline")),
        synthetic=synthetic is True or str(synthetic).strip().lower() in {"true", "1", "yes"},
    )


def _pick(fields: Mapping[str, object], name: str) -> object:
    return next((fields[key] for key in SYNONYMS[name] if fields.get(key) is not None), None)


def _text(field: str, value: object, *, required: bool = False, limit: int = 0) -> str:
    needed = "" if limit else "; every profile needs a name and a description"
    limit = limit or _LIMITS[field]
    if value is None and not required:
        return ""
    if value is None:
        raise ProfileError(field, f"is missing{needed}")
    if not isinstance(value, str):
        raise ProfileError(field, f"is {type(value).__name__}, not text")
    if len(value) > limit:
        raise ProfileError(field, f"has {len(value):,} characters, at most {limit:,} are taken")
    text = value.translate(_HARMLESS).translate(_UNSEEN)
    for character in text:
        if "\udc80" <= character <= "\udcff":  # what "surrogateescape" makes of a stray byte
            raise ProfileError(field, f"is not UTF-8: holds the byte 0x{ord(character) & 0xFF:02X}")
        if unicodedata.category(character) in {"Cc", "Cs"}:
            raise ProfileError(field, f"holds the control character U+{ord(character):04X}")
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    if required and not text:
        raise ProfileError(field, f"is empty{needed}")
    return text


def _actions(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = _split(value)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ProfileError("actions", f"is {type(value).__name__}, not a list of texts")
    if len(value) > _ACTIONS_LIMIT:
        raise ProfileError("actions", f"has {len(value)} entries, at most {_ACTIONS_LIMIT}")
    texts = (
        _text(f"actions[{number}]", item, required=True, limit=_ACTION_LIMIT)
        for number, item in enumerate(value)
    )
    return tuple(texts)


def _split(text: str) -> object:
    """Return the actions of one cell: a JSON list, or parted by ` | ` or line breaks."""
    if text.lstrip().startswith("["):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
    parts = [part.strip() for line in text.splitlines() for part in line.split(" | ")]
    return [part for part in parts if part]


def pseudonym(agent_id: str, profile: Profile) -> str:
    """Return the name that an agent goes by instead of a real person's: the same every time.

    No word of the profile, so that it can be told from the person's own and from other people's.
    """
    rng = Random(derived_seed("pseudonym", agent_id))
    text = " ".join([profile.name, profile.headline, profile.description, *profile.actions])
    names = rng.sample(_FIRST_NAMES, len(_FIRST_NAMES))
    unused = (name for name in names if not surviving([_own(name)], text))
    return f"{next(unused, names[0])} {rng.choice('ABCDEFGHIJKLMNOPRSTUVWYZ')}."


def _own(name: str) -> Identifier:
    return Identifier("name", name, 0, len(name))


def anonymise_by_rule(profile: Profile, name: str) -> tuple[Profile, tuple[Identifier, ...]]:
    """Return the profile under a pseudonym without the identifiers that rules can find, and those.

    Synthetic profiles come back as they are.
    """
    if profile.synthetic:
        return profile, ()
    found: list[Identifier] = []

    def clean(text: str) -> str:
        scrubbed, identifiers = scrub(text, [profile.name], {"name": name})
        found.extend(identifiers)
        return scrubbed

    cleaned = replace(
        profile,
        name=name,
        description=clean(profile.description),
        headline=clean(profile.headline),
        actions=tuple(clean(action) for action in profile.actions),
    )
    return cleaned, (_own(profile.name), *found)


def leaked(identifiers: Iterable[Identifier], text: str) -> list[Identifier]:
    """Return the identifiers of the original that stand in a text made of it."""
    return surviving(identifiers, text)
