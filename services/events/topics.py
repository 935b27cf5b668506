"""The topics, each with its key; the one list that code, chart and cluster are checked against."""

from dataclasses import dataclass

from services import events


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the log."""

    name: str
    key: str
    carries: tuple[type, ...] = ()
    """The events among its messages; none where they are a service's own records."""
    compacted: bool = False
    """Keeps the last record of every key instead of a span of time."""
    kept: bool = False
    """Never expires: a source of truth that new readers replay."""


OBSERVATIONS_DELIVERED = Topic(
    "matrix.observations-delivered.v1",
    "group",
    (events.ObservationsDelivered, events.GroupFounded, events.AgentsJoined),
)
AGENTS_ACTED = Topic(
    "matrix.agents-acted.v1",
    "group",
    (events.AgentsActed, events.MessagesForwarded, events.GroupFounded, events.AgentsJoined),
)
"""All that a modulator takes in: one topic, so that who owns a group's modulator owns all of it."""
STEP_COMPLETED = Topic("matrix.step-completed.v1", "group", (events.StepCompleted,))
SCENARIOS_EXTRACTED = Topic(
    "matrix.scenarios-extracted.v1", "group", (events.ScenarioExtracted,), kept=True
)
INSTRUCTIONS_GENERATED = Topic(
    "matrix.instructions-generated.v1", "dataset/stratum", (events.InstructionGenerated,)
)
SAMPLES_JUDGED = Topic(
    "matrix.samples-judged.v1",
    "dataset/stratum",
    (events.SampleJudged, events.QuotaReleased),
    kept=True,
)

AGENTS = Topic("matrix.agents.v1", "group", compacted=True)
GROUPS = Topic("matrix.groups.v1", "group", compacted=True)
WINDOWS = Topic("matrix.windows.v1", "group", compacted=True)
CANDIDATES = Topic("matrix.candidates.v1", "dataset/stratum", compacted=True)
DATASETS = Topic("matrix.datasets.v1", "dataset", (events.DatasetDeclared,), compacted=True)
POPULATION = Topic(
    "matrix.population.v1",
    "what is controlled",
    (
        events.Appetite,
        events.SocietyImported,
        events.PopulationSet,
        events.PopulationTarget,
        events.JoinDecided,
    ),
    compacted=True,
)
MODEL_ANSWERS = Topic("matrix.model-answers.v1", "unit of work and call", compacted=True)
"""Of imports, and of services that share one process."""


def _answers(service: str) -> Topic:
    """Return the model answers of one service: its replicas restore no other's."""
    return Topic(f"matrix.{service}-answers.v1", "unit of work and call", compacted=True)


AGENT_STATE_ANSWERS = _answers("agent-state")
MESSAGE_MODULATION_ANSWERS = _answers("message-modulation")
SCENARIO_EXTRACTION_ANSWERS = _answers("scenario-extraction")
INSTRUCTION_GENERATION_ANSWERS = _answers("instruction-generation")
REWARD_FILTERING_ANSWERS = _answers("reward-filtering")
DEAD_LETTERS = Topic("matrix.dead-letters.v1", "as the original", (events.DeadLetter,))

TOPICS = (
    OBSERVATIONS_DELIVERED,
    AGENTS_ACTED,
    STEP_COMPLETED,
    SCENARIOS_EXTRACTED,
    INSTRUCTIONS_GENERATED,
    SAMPLES_JUDGED,
    AGENTS,
    GROUPS,
    WINDOWS,
    CANDIDATES,
    DATASETS,
    POPULATION,
    MODEL_ANSWERS,
    AGENT_STATE_ANSWERS,
    MESSAGE_MODULATION_ANSWERS,
    SCENARIO_EXTRACTION_ANSWERS,
    INSTRUCTION_GENERATION_ANSWERS,
    REWARD_FILTERING_ANSWERS,
    DEAD_LETTERS,
)
