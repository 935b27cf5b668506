"""The page for operators names every setting, and no other, with its default."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, SecretStr

from services.runtime.settings import Settings

PAGE = Path(__file__).parents[3] / "ops" / "services.md"
ROW = re.compile(r"\| (?P<names>`MATRIX_[^|]*) \|(?P<default>[^|]*)\|")


def variables(part: type[BaseModel], prefix: str = "MATRIX_") -> Iterator[tuple[str, str]]:
    """Yield the variable of each setting, with its default as one would write it."""
    for name, field in part.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from variables(kind, f"{prefix}{name.upper()}__")
        else:
            yield prefix + name.upper(), written(field.default)


def written(default: object) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None else str(default)


def documented() -> list[tuple[str, str]]:
    return [
        (name, row["default"].strip().strip("`"))
        for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))
        for name in re.findall(r"`(\w+)`", row["names"])
    ]


def test_every_setting_stands_on_the_page_once_with_its_default() -> None:
    assert sorted(documented()) == sorted(variables(Settings))
