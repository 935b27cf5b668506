import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
from matrix.instruction_generation.v1 import service_pb2 as pb

from services.cli.filters import filter_overrides
from services.events import FilterSpec
from services.events.filters import overridden
from services.reward_filtering.sample_schema import CONTENT_COLUMNS, SAMPLE_SCHEMA
from services.runtime.protobuf import given_fields

PAGE = Path(__file__).parents[3] / "ops" / "dataset-schema.md"


def leaves(name: str, kind: pa.DataType) -> Iterator[tuple[str, str]]:
    """Give the paths of a column's values as the page writes them, with their types."""
    if pa.types.is_list(kind):
        yield from leaves(f"{name}[]", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from leaves(f"{name}.{field.name}", field.type)
    else:
        yield name, str(kind)


def documented() -> list[list[str]]:
    """Give the cells of the page's first table."""
    table = PAGE.read_text(encoding="utf-8").split("\n|---|", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.split("\n")[1:]]


def test_the_page_names_every_column_with_its_type_in_order() -> None:
    found = [(name.strip("`"), kind) for name, kind, *_ in documented()]
    assert found == [leaf for field in SAMPLE_SCHEMA for leaf in leaves(field.name, field.type)]


def test_the_page_says_what_every_column_means() -> None:
    assert [row[0] for row in documented() if len(row) != 5 or not row[2]] == []


def test_the_page_tells_the_columns_that_deterministic_runs_agree_on() -> None:
    content: dict[str, set[str]] = {}
    for name, *_, flag in documented():
        content.setdefault(re.split(r"\W", name.strip("`"))[0], set()).add(flag)
    assert content == {
        name: {"yes" if name in CONTENT_COLUMNS else "no"} for name in SAMPLE_SCHEMA.names
    }


def settings() -> dict[str, str]:
    """Give the settings of the filter with their defaults, as the page has them."""
    section = PAGE.read_text(encoding="utf-8").split("## Settings of the filter", 1)[1]
    table = section.split("\n|---|", 1)[1].split("\n\n", 1)[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.split("\n")[1:]]
    assert all(len(row) == 4 and row[2] and row[3] for row in rows)
    assert len({row[0] for row in rows}) == len(rows)
    return {name.strip("`"): default.strip("`") for name, default, *_ in rows}


def test_the_page_names_every_setting_of_the_filter_with_its_default() -> None:
    def written(value: object) -> str:
        if isinstance(value, tuple):
            return ",".join(value)
        if isinstance(value, bool):
            return str(value).lower()
        return f"{value:g}" if isinstance(value, float) else str(value)

    assert settings() == {name: written(value) for name, value in asdict(FilterSpec()).items()}


def test_every_setting_of_the_page_can_be_given_with_an_order_as_it_is_written() -> None:
    assert set(settings()) == set(pb.FilterOverrides.DESCRIPTOR.fields_by_name)
    typed = [f"{name}={default}" for name, default in settings().items()]
    given = given_fields(filter_overrides(typed))
    assert overridden(FilterSpec(), given) == FilterSpec()
