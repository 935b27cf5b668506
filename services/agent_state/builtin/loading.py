"""Reads the tables that the built-in profiles are drawn from."""

import tomllib
from pathlib import Path
from typing import Any

from services.agent_state.builtin.tables import (
    Circumstance,
    City,
    Country,
    Interest,
    NamePool,
    Occupation,
    Situation,
    Tables,
    Wording,
)

TABLES = Path(__file__).parent / "tables"


def load_tables(folder: Path = TABLES) -> Tables:
    """Read all tables of `folder`, in an order that does not depend on the file system."""

    def read(name: str) -> dict[str, Any]:
        return tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))

    everyday = read("everyday")
    occupations = [
        _occupation(row)
        for file in sorted(folder.glob("occupations_*.toml"))
        for row in read(file.stem)["occupation"]
    ]
    countries = [
        _country(code, row)
        for file in sorted(folder.glob("countries_*.toml"))
        for code, row in read(file.stem).items()
    ]
    return Tables(
        countries=tuple(countries),
        occupations=tuple(occupations),
        situations=tuple(_situation(row) for row in read("situations")["situation"]),
        interests=tuple(
            Interest(
                row["pastime"], row["tag"], _range(row.get("ages", [16, 90])), tuple(row["did"])
            )
            for row in read("interests")["interest"]
        ),
        circumstances=tuple(
            Circumstance(
                _range(row["ages"]), row["tag"], row["clause"], row["did"], row.get("frail", False)
            )
            for row in read("circumstances")["circumstance"]
        ),
        aims=tuple(
            (_range(row["ages"]), row.get("tag", "*"), row["text"]) for row in everyday["aim"]
        ),
        errands=tuple((tag, did) for tag, dids in everyday["errands"].items() for did in dids),
        names={
            pool: NamePool(
                row["family_first"],
                {"female": tuple(row["female"]), "male": tuple(row["male"])},
                tuple(row["family"]),
            )
            for pool, row in read("names").items()
        },
        household=read("household"),
        frames=read("frames"),
    )


def _range(pair: list[int]) -> tuple[int, int]:
    low, high = pair
    return low, high


def _wording(row: dict[str, Any]) -> Wording:
    return Wording(*(tuple(row[key]) for key in ("does", "faces", "aims", "did")))


def _occupation(row: dict[str, Any]) -> Occupation:
    return Occupation(
        isco=row["isco"],
        title=row["title"],
        sector=row["sector"],
        ages=_range(row["ages"]),
        women=row["women"],
        levels=row["levels"],
        weight=row["weight"],
        place=row["place"],
        only=frozenset(row.get("only", "").split()),
        alcohol=row.get("needs") == "alcohol",
        away=row.get("away", False),
        wording=_wording(row),
    )


def _situation(row: dict[str, Any]) -> Situation:
    plain = {key: row[key] for key in ("status", "field", "levels", "former", "home")}
    return Situation(
        ages=_range(row["ages"]),
        wording=_wording(row),
        frail=row.get("frail", False),
        rural=row.get("rural", False),
        **plain,
    )


def _country(code: str, row: dict[str, Any]) -> Country:
    converted: dict[str, Any] = {
        "name": f"the {row['name']}" if row["article"] else row["name"],
        "english": row.get("english", False),
        "shares": {key: share / 100 for key, share in zip("AIS", row["shares"], strict=True)},
        "cities": tuple(City(*city) for city in row["cities"]),
        "local": tuple((clause, did) for clause, did in row["local"]),
    }
    plain = {key: value for key, value in row.items() if key != "article"}
    return Country(code=code, **(plain | converted))
