"""What callers want to know of datasets and instructions; changes nothing."""

from dataclasses import dataclass, replace

from services.events import DatasetDeclared
from services.instruction_generation.application import Draft, preview
from services.instruction_generation.domain import DatasetStatus
from services.instruction_generation.overview import Overview
from services.kinds import Kind, find_kind
from services.runtime.errors import NotFound
from services.runtime.ids import derived_seed
from services.runtime.ports import ChatModel


@dataclass(frozen=True, slots=True)
class Dataset:
    """An order, and how far it is."""

    order: DatasetDeclared
    status: DatasetStatus


class DatasetQueries:
    """The datasets that were ordered: every replica knows them."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def __contains__(self, name: str) -> bool:
        order = self._overview.datasets.get(name)
        return order is not None and not order.deleted

    def dataset(self, name: str) -> Dataset:
        """Return a dataset.

        Raises:
            NotFound: there is none of that name, or it was deleted.
        """
        if name not in self:
            raise NotFound(f"no dataset {name!r}: names are those of ListDatasets")
        return Dataset(self._overview.datasets[name], self._overview.status(name))

    def datasets(self, after: str, limit: int) -> list[Dataset]:
        """Return up to `limit` datasets in order of name, from the first one after `after`.

        Without requirements and grants, of which an order may have hundreds.
        """
        names = sorted(name for name in self._overview.datasets if name > after and name in self)
        found = map(self.dataset, names[:limit])
        return [
            replace(each, order=replace(each.order, requirements=(), grants=())) for each in found
        ]


class Previews:
    """Instructions that nothing is kept of."""

    def __init__(self, overview: Overview, kinds: dict[str, Kind], model: ChatModel) -> None:
        self._overview = overview
        self._kinds = kinds
        self._model = model

    async def preview(
        self, scenario_id: str, agent_id: str, kind: str, requirement: str, seed: int
    ) -> Draft:
        """Make one instruction.

        Args:
            scenario_id: From which it comes.
            agent_id: Who asks; the first person of the scenario when empty.
            kind: Of the dataset that it could be for.
            requirement: The user's own words, for kinds that take them.
            seed: Of which of the kind's requirements is taken.

        Raises:
            NotFound: no such kind or scenario, or nobody of that id in it.
            Rejected: the kind takes no requirement text, or needs one.
            Retryable: the model did not answer.
        """
        found = find_kind(self._kinds, kind)
        asked = found.requirements(requirement, derived_seed("preview", seed))[0]
        scenario = self._overview.scenario(scenario_id)
        return await preview(self._model, found, scenario, asked, agent_id)
