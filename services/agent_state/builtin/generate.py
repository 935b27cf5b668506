"""The generator of the built-in profiles: seeded, so that equal seeds give equal bytes."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from services.agent_state.builtin import builtin_profiles_path
from services.agent_state.builtin.loading import load_tables
from services.agent_state.builtin.material import Ledger, choose_material
from services.agent_state.builtin.person import draw_person
from services.agent_state.builtin.population import draw_seats
from services.agent_state.builtin.prose import write_description, write_headline
from services.agent_state.builtin.tables import Tables

SEED = 2410
COUNT = 1000


def generate_profiles(
    seed: int = SEED, count: int = COUNT, tables: Tables | None = None
) -> Iterator[str]:
    """Yield `count` profiles as lines of JSON, without line ends.

    Args:
        seed: Equal seeds give equal lines.
        count: People; ids run from b0001.
        tables: What to draw from; the tables of this package by default.

    Raises:
        ValueError: the tables cannot fill so many profiles without repeating themselves.
    """
    tables = tables or load_tables()
    rng = Random(seed)
    ledger = Ledger()
    taken: set[str] = set()
    for number, seat in enumerate(draw_seats(tables, count, rng), start=1):
        person = draw_person(seat, taken, tables, rng)
        taken.add(person.full_name)
        material = choose_material(person, tables, ledger, rng)
        profile = {
            "id": f"b{number:04}",
            "name": person.full_name,
            "headline": write_headline(person, material, rng),
            "description": write_description(person, material, tables.frames, rng),
            "actions": material.actions,
            "synthetic": True,
            "age": person.age,
            "gender": person.gender,
            "occupation": person.occupation,
            "isco": person.isco,
            "country": seat.country.code,
        }
        yield json.dumps(profile, ensure_ascii=False)


def write_profiles(
    seed: Annotated[
        int, typer.Option(help="Another seed gives other people; the same seed the same bytes.")
    ] = SEED,
    count: Annotated[
        int, typer.Option(min=1, max=2000, help="How many people; ids run from b0001.")
    ] = COUNT,
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default the one that ships.")
    ] = None,
) -> None:
    """Write synthetic profiles as JSON Lines, one person per line.

    People are drawn from the tables beside this module: who lives where and does what at which age
    follows what is known of the world's population; names, deeds and worries are made up. To change
    what people are like, edit tables/*.toml and run this again; the slots that texts may hold are
    listed in wording.py.

    Examples:
      python -m services.agent_state.builtin.generate

      python -m services.agent_state.builtin.generate --seed 7 --count 200 --out people.jsonl
    """
    path = out or builtin_profiles_path()
    lines = list(generate_profiles(seed, count))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    typer.echo(f"wrote {len(lines)} profiles, {path.stat().st_size:,} bytes, to {path}")


if __name__ == "__main__":
    typer.run(write_profiles)
