"""Who runs next."""

from hypothesis import given
from hypothesis import strategies as st

from services.local.simulator.scheduler import Scheduler
from services.local.simulator.sequences import EngineSequence

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.integers(-2, 2)),  # its priority
        st.tuples(st.just("leave"), st.integers(0, 30)),  # which of those in it
        st.tuples(st.just("resize"), st.integers(1, 5)),
    ),
    max_size=60,
)


@given(steps=STEPS, slots=st.integers(1, 4))
def test_the_lowest_key_runs_next_and_slots_are_never_idle(
    steps: list[tuple[str, int]], slots: int
) -> None:
    queued: list[EngineSequence] = []
    running: list[EngineSequence] = []

    def start(sequence: EngineSequence) -> None:
        assert sequence.key == min(one.key for one in queued)
        sequence.admitted = 0.0
        queued.remove(sequence)
        running.append(sequence)

    scheduler = Scheduler(slots, None, start)
    for number, (what, value) in enumerate(steps):
        if what == "enter":
            sequence = EngineSequence(1)
            sequence.key = (value, number)
            queued.append(sequence)
            scheduler.enter(sequence)
        elif what == "resize":
            slots = value
            scheduler.resize(slots)
        elif queued or running:
            leaving = (running + queued)[value % len(running + queued)]
            (running if leaving in running else queued).remove(leaving)
            scheduler.leave(leaving, finished=True)
        assert (scheduler.running, scheduler.waiting) == (len(running), len(queued))
        assert not queued or len(running) >= slots


def test_who_ends_at_once_lets_the_next_one_in() -> None:
    ended: list[EngineSequence] = []

    def start(sequence: EngineSequence) -> None:
        sequence.admitted = 0.0
        ended.append(sequence)
        scheduler.leave(sequence, finished=True)

    scheduler = Scheduler(1, None, start)
    made = [EngineSequence(1) for _ in range(3)]
    for number, sequence in enumerate(made):
        sequence.key = (0, number)
        scheduler.enter(sequence)
    assert ended == made
    assert (scheduler.running, scheduler.waiting) == (0, 0)
