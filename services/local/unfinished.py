"""A refilter under way: what it is about and what is decided so far, where its dataset will be.

`_refilter/NAME/` of the store holds `plan.json` and, in a folder named by the plan's token, a table
of verdicts; both are gone when the dataset is made. No reader of datasets looks there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from threading import Event
from typing import Any

import orjson

from services.reward_filtering.candidates import Candidates
from services.reward_filtering.sample_schema import REJECTED, SAMPLE_SCHEMA
from services.runtime.errors import Rejected
from services.runtime.object_store import Folder, bucket_of, delta_options, table_uri
from services.runtime.settings import ObjectStoreSettings
from services.runtime.table_creation import create_table, has_commits, remove_data
from services.runtime.tables import Table

UNFINISHED = "_refilter"
"""Folder of the store in which refilters under way are."""
_PLAN = "plan.json"
_DECIDED = "candidates"
"""The reading position of the table of verdicts: candidates decided."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes two refilters the same one: the second goes on with the first."""

    token: str
    """Unique to it; marks the tables that it makes."""
    versions: tuple[int, ...]
    """Of the tables that are read: of a dataset, and of its rejected candidates; -1 of none."""
    settings: Mapping[str, Any]
    """By name, as they are told when they differ."""
    published: bool = False
    """Whether the new dataset is whole."""

    @property
    def mark(self) -> str:
        """What the tables that it makes are known by."""
        return f"refilter-{self.token}"

    def check_same(self, settings: Mapping[str, Any]) -> None:
        """Refuse to go on with other settings; those that are not given may be any.

        Raises:
            Rejected: one differs; the message names it.
        """
        there, here = (orjson.loads(orjson.dumps(each)) for each in (self.settings, settings))
        differing = [
            f"{name} is {there.get(name)!r} there, {here[name]!r} here"
            for name in here
            if there.get(name) != here[name]
        ]
        if differing:
            raise Rejected(
                f"an interrupted refilter has that name, with other settings: "
                f"{'; '.join(differing)}. Go on with the same settings, discard it by --restart, "
                "or give another name (--to)"
            )


class Unfinished:
    """The refilter whose dataset will have a name; everything blocks."""

    def __init__(self, store: ObjectStoreSettings, name: str) -> None:
        """Describe it without touching the store.

        Raises:
            Rejected: the store has no usable address, or cannot hold a dataset of that name.
        """
        if bucket_of(store):
            table_uri(store, name)
        self._name = name
        self._root, self._options = store.url.rstrip("/"), delta_options(store)
        self._store = Folder(self._root, self._options)
        self._place = f"{UNFINISHED}/{name}"
        self._verdicts: Table | None = None

    def table(self, name: str) -> Table:
        """Return a table of the store."""
        return Table(self._uri(name), SAMPLE_SCHEMA, self._options)

    def plan(self) -> Plan | None:
        """Return what it is about; None when none is under way.

        Raises:
            Rejected: its plan cannot be read, or the store refuses us.
            Retryable: the store is away.
        """
        folder = self._folder(self._place)
        if _PLAN not in folder.entries()[1]:
            return None
        try:
            fields = orjson.loads(folder.read(_PLAN))
            plan = Plan(**fields | {"versions": tuple(fields["versions"])})
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Rejected(
                f"{folder.uri}/{_PLAN} is damaged ({error}): give the new dataset another name "
                "(--to)"
            ) from error
        self._verdicts = self.table(f"{self._place}/{plan.token}")
        return plan

    def begin(self, plan: Plan) -> None:
        """Note what it is about, before anything is decided.

        Raises:
            Rejected: the name is taken, or somebody else just began.
        """
        self.check_free()
        if not self._store.create(f"{self._place}/{_PLAN}", _written(plan)):
            raise Rejected(f"somebody else just began to refilter to {self._name!r}: wait for that")
        self._verdicts = self.table(f"{self._place}/{plan.token}")
        for folder in self._folder(self._place).entries()[0]:
            if folder != plan.token:  # Of one that was discarded, not to the end.
                self._store.remove_below(f"{self._place}/{folder}")

    def check_free(self) -> None:
        """Refuse a name that a dataset or its rejected candidates have already.

        Raises:
            Rejected: it is taken.
        """
        for name in (self._name, REJECTED + self._name):
            if self.table(name).exists():
                raise Rejected(
                    f"dataset {self._name!r} is in {self._root} already: give the new one another "
                    "name (--to)"
                )

    def decided(self) -> int:
        """Return how many candidates are decided; additions expect to follow them."""
        return self._decisions().offset(_DECIDED)

    def add(self, rows: Sequence[Mapping[str, object]], decided: int) -> None:
        """Keep the verdicts on the next candidates; the same ones once more change nothing.

        Args:
            rows: Of `SAMPLE_SCHEMA`.
            decided: How many candidates are decided with these.

        Raises:
            Moved: somebody else is at work on the same refilter.
            Rejected, Retryable: as `Table.append`.
        """
        self._decisions().append(rows, {_DECIDED: decided})

    def verdicts(self, where: str = "") -> Candidates:
        """Return what is decided, in the order of the candidates."""
        table = self._decisions()
        version = table.version()
        return Candidates([(table, version)] if version is not None else [], where)

    def publish(self, plan: Plan, stop: Event) -> None:
        """Make both tables of the dataset, each in one commit; that of the accepted last.

        A table without rows is not made. What an earlier attempt made is left as it is.

        Raises:
            Rejected: another dataset of the name is there.
            Retryable: storage is full or away, or `stop` was set.
        """
        for name, where in ((REJECTED + self._name, "NOT accepted"), (self._name, "accepted")):
            chosen = self.verdicts(where)
            if len(chosen):
                create_table(
                    self._uri(name), SAMPLE_SCHEMA, self._options, chosen.batches(), plan.mark, stop
                )
        self._store.write(f"{self._place}/{_PLAN}", _written(replace(plan, published=True)))

    def clear(self, plan: Plan) -> None:
        """Remove what is left of it when its dataset is made; the plan last."""
        self._store.remove_below(f"{self._place}/{plan.token}")
        self._store.remove([f"{self._place}/{_PLAN}"])

    def discard(self) -> None:
        """Remove all of it, also rejected candidates that it published.

        Raises:
            Rejected: its dataset is whole, or what is there is another's.
        """
        if (plan := self.plan()) is None:
            return
        for name in (REJECTED + self._name, self._name):
            folder = self._folder(name)
            if not has_commits(folder):
                remove_data(folder)
            elif name == self._name or not self.table(name).offset(plan.mark):
                self.check_free()
            else:
                self._store.remove_below(name)
        self._store.remove([f"{self._place}/{_PLAN}"])
        self._store.remove_below(self._place)

    def _decisions(self) -> Table:
        assert self._verdicts is not None, "neither begun nor found"
        return self._verdicts

    def _uri(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _folder(self, path: str) -> Folder:
        return Folder(self._uri(path), self._options)


def _written(plan: Plan) -> bytes:
    return orjson.dumps(asdict(plan), option=orjson.OPT_INDENT_2)
