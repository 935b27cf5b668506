import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.model_load import ServerLoad
from services.runtime.saturation import AIM, FIRST, MOST, QUEUE, SHRINK, Concurrency


class Server:
    """Has `slots` requests in work; the others that are sent wait."""

    def __init__(self, slots: int, clients: int = 1, most: int = MOST) -> None:
        self.slots = slots
        self.clients = [Concurrency(most) for _ in range(clients)]
        self.sent = [client.slots for client in self.clients]

    def second(self, wanted: int = 100_000) -> ServerLoad:
        """Let each client look at the load, and send as many calls as it may of `wanted`."""
        sent = sum(self.sent)
        load = ServerLoad(min(sent, self.slots), max(0, sent - self.slots))
        revised = [
            client.revise(load, own, max(0, wanted - own), refused=False)
            for client, own in zip(self.clients, self.sent, strict=True)
        ]
        self.sent = [min(wanted, slots) for slots in revised]
        return load


@given(st.integers(1, MOST * 9 // 10), st.integers(1, 8))
def test_clients_fill_a_server_and_keep_its_queue_short(slots: int, clients: int) -> None:
    server = Server(slots, clients)
    for _ in range(60):
        server.second()
    loads = [server.second() for _ in range(40)]
    running = sum(load.running for load in loads) / len(loads)
    waiting = sum(load.waiting for load in loads) / len(loads)
    # Each client has one call under way at least, and they are whole.
    assert running >= 0.97 * slots - clients
    assert waiting <= max(QUEUE * slots, 2 * clients)


def test_a_large_server_is_full_within_seconds() -> None:
    server = Server(1024)
    for _ in range(6):
        server.second()
    assert server.second().running == 1024


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_server_that_becomes_half_or_twice_as_large_is_followed(factor: float) -> None:
    server = Server(256)
    for _ in range(30):
        server.second()
    server.slots = round(256 * factor)
    for _ in range(12):
        server.second()
    load = server.second()
    assert load.running >= 0.97 * server.slots
    assert load.waiting <= 2 * QUEUE * server.slots


def test_what_nobody_wants_is_not_asked_for() -> None:
    server = Server(256)
    for _ in range(50):
        server.second(wanted=20)
    assert server.clients[0].slots == FIRST


def test_a_burst_that_is_worked_off_at_once_changes_nothing() -> None:
    concurrency = Concurrency()
    concurrency.revise(ServerLoad(100, 50), 150, 10, refused=False)
    settled = concurrency.revise(ServerLoad(100, AIM * 100 + 1), 100, 10, refused=False)
    concurrency.revise(ServerLoad(100, 50), 150, 10, refused=False)
    assert concurrency.revise(ServerLoad(100, AIM * 100 + 1), 100, 10, False) == settled


def test_slots_that_are_free_because_calls_are_on_their_way_do_not_open_the_gate_wide() -> None:
    concurrency = Concurrency()
    concurrency.revise(ServerLoad(64, 40), 104, 10, refused=False)
    # All calls of a round ended at one moment: their successors are sent, and not there yet.
    assert concurrency.revise(ServerLoad(22, 0), 67, 10, refused=False) <= 75


def test_a_queue_that_is_being_worked_off_does_not_make_them_fewer_twice() -> None:
    concurrency = Concurrency(first=512)
    assert concurrency.revise(ServerLoad(256, 256), 512, 100, refused=False) == 269
    assert concurrency.revise(ServerLoad(256, 160), 416, 100, refused=False) == 269
    assert concurrency.revise(ServerLoad(256, 60), 316, 100, refused=False) == 269


def test_refusals_of_a_full_queue_make_it_fewer() -> None:
    concurrency = Concurrency()
    assert concurrency.revise(None, FIRST, 10, refused=True) == round(FIRST * SHRINK)
    for _ in range(FIRST):
        concurrency.revise(None, FIRST, 10, refused=False)
    assert concurrency.slots == FIRST


def test_a_server_that_was_away_behind_a_gateway_is_full_again_within_seconds() -> None:
    server = Server(256)
    for _ in range(30):
        server.second()
    [client] = server.clients
    for _ in range(60):  # Each attempt is refused, and nearly all calls wait for their next one.
        client.revise(None, 3, 500, refused=True)
    server.sent = [client.slots]
    for _ in range(12):
        server.second()
    assert server.second().running >= 0.97 * 256


@given(
    st.integers(1, 300),
    st.lists(
        st.tuples(
            st.none() | st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
            st.integers(0, 5000),
            st.integers(0, 5000),
            st.booleans(),
        ),
        max_size=50,
    ),
)
def test_whatever_a_server_tells_there_is_a_call_and_never_more_than_the_most(
    most: int, told: list[tuple[tuple[int, int] | None, int, int, bool]]
) -> None:
    concurrency = Concurrency(most, most)
    for load, in_flight, held, refused in told:
        slots = concurrency.revise(
            None if load is None else ServerLoad(*load), in_flight, held, refused
        )
        assert 1 <= slots <= most
