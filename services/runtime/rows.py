"""Rows and schemas of tables, strictly: what Arrow fills in or drops in silence is refused."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from services.runtime.errors import Rejected


def rows_to_arrow(rows: Sequence[Mapping[str, object]], schema: pa.Schema, place: str) -> pa.Table:
    """Convert `rows` to a table of `schema`.

    Args:
        rows: One mapping per row, with exactly the columns of `schema`.
        schema: Fields that are not nullable, at any depth, need a value in every row.
        place: Where the rows are going; begins the message of an error.

    Raises:
        Rejected: A column is missing or unknown, or a value is missing or of another type.
    """
    names = set(schema.names)
    for index, row in enumerate(rows):
        if row.keys() != names:
            raise Rejected(
                f"{place}: row {index} lacks the columns {sorted(names - row.keys())} "
                f"and has unknown ones {sorted(row.keys() - names)}"
            )
    columns = []
    for field in schema:
        try:
            column = pa.array([row[field.name] for row in rows], type=field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise Rejected(f"{place}: column {field.name} ({field.type}): {error}") from error
        if hole := _forbidden_null(column, field, field.name):
            raise Rejected(f"{place}: a row has no value in {hole}; give every row one")
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)


def schema_difference(expected: pa.Schema, found: pa.Schema) -> str:
    """Name the columns in which two schemas differ, whatever their order; empty when in none.

    A column that only one of them has is no difference if it may be null: one release of the
    platform knows it, and another does not.
    """
    differing = []
    for name in dict.fromkeys([*expected.names, *found.names]):
        fields = [schema.field(name) for schema in (expected, found) if name in schema.names]
        if len(fields) == 1 and fields[0].nullable:
            continue
        ours, theirs = (
            str(schema.field(name)) if name in schema.names else "no such column"
            for schema in (expected, found)
        )
        if ours != theirs:
            differing.append(f"{name} (expected {ours!r}, found {theirs!r})")
    return "; ".join(differing)


def with_columns(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `rows` with the columns of `schema`: null where they have none of that name."""
    return pa.Table.from_arrays(
        [
            rows[field.name].cast(field.type)
            if field.name in rows.column_names
            else pa.nulls(len(rows), field.type)
            for field in schema
        ],
        schema=schema,
    )


def _forbidden_null(column: pa.Array, field: pa.Field, path: str) -> str:
    """Give the dotted path of the first missing value that `field` forbids, or nothing."""
    if column.null_count and not field.nullable:
        return path
    if pa.types.is_struct(field.type):
        children = zip(column.drop_null().flatten(), field.type, strict=True)
        holes = (_forbidden_null(array, child, f"{path}.{child.name}") for array, child in children)
        return next(filter(None, holes), "")
    if pa.types.is_list(field.type):
        return _forbidden_null(column.flatten(), field.type.value_field, path)
    return ""
