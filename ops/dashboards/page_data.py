"""What Prometheus knows about a panel, over the time that a page shows."""

import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.dashboards.panels import Query
from services.reward_filtering.funnel_picture import one_line
from services.runtime.errors import Rejected

MAX_NAME = 60
"""Characters of a legend that there is room for."""
_POINTS = 60
_SCRAPES_SECONDS = 60
"""A rate over less may lie between two scrapes."""
_TIMEOUT_SECONDS = 30
_LABEL = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is shown, in seconds since 1970."""

    start: int
    end: int
    step: int

    @classmethod
    def last(cls, seconds: int, now: float) -> "Window":
        """Return the window of the last `seconds`, in about 60 steps."""
        step = max(1, seconds // _POINTS)
        end = math.floor(now)
        return cls(end - seconds // step * step, end, step)

    @property
    def rate_interval(self) -> str:
        """Over how long rates are taken, in the words of PromQL."""
        return f"{max(_SCRAPES_SECONDS, self.step)}s"


@dataclass(frozen=True, slots=True)
class Series:
    """One curve."""

    name: str
    points: tuple[tuple[int, float], ...]
    """Finite values by time; a step without one is left out."""

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


class Prometheus:
    """The HTTP API of a Prometheus."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def instant(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """Return the labels and values of an expression now.

        Raises:
            Rejected: it cannot be asked, or does not understand the expression.
        """
        found = self._asked("query", {"query": expression})
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    def series(self, query: Query, window: Window) -> list[Series]:
        """Return the curves of a query, those with a value only.

        Raises:
            Rejected: as `instant`.
        """
        asked = {
            "query": query.plain(window.rate_interval),
            "start": window.start,
            "end": window.end,
            "step": window.step,
        }
        found = []
        for each in self._asked("query_range", asked)["result"]:
            points = tuple((int(at), float(text)) for at, text in each["values"])
            finite = tuple(point for point in points if math.isfinite(point[1]))
            if finite:
                found.append(Series(_named(query.legend, each["metric"]), finite))
        return found

    def _asked(self, path: str, parameters: Mapping[str, object]) -> Any:
        body = urllib.parse.urlencode(parameters).encode()
        address = f"{self._url}/api/v1/{path}"
        try:
            with urllib.request.urlopen(address, body, _TIMEOUT_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            told = error.read().decode(errors="replace")[:300]
            raise Rejected(f"{address} refused {parameters['query']}: {told}") from error
        except (OSError, ValueError, KeyError) as error:
            raise Rejected(
                f"{address} does not answer as Prometheus does ({error}): is the URL right?"
            ) from error


def _named(legend: str, labels: Mapping[str, str]) -> str:
    """Return a series' name; values of labels are user data, of any length."""
    text = _LABEL.sub(lambda found: labels.get(found[1], ""), legend)
    return one_line(text, MAX_NAME) or "all"
