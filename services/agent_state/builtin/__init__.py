"""The profiles that ship with the platform: 1,000 synthetic people, so that nothing real is needed.

`profiles.jsonl` is what `generate.py` writes with its default seed; `tables/` holds what it draws
from. No line describes a real person.
"""

from pathlib import Path


def builtin_profiles_path() -> Path:
    """Return the file of built-in profiles: JSON Lines in UTF-8, one profile per line.

    Fields: id, name, headline, description, actions (3 to 6), synthetic (always true), age in
    years, gender, occupation, isco (ISCO-08 unit group; empty outside of employment) and country
    (ISO 3166-1 alpha-2).
    """
    return Path(__file__).parent / "profiles.jsonl"
