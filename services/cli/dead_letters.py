"""`matrix dead-letters`: messages that no service could take."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from services.cli.broker import broker_settings
from services.cli.console import note, output, tell
from services.cli.letters import (
    Letter,
    Place,
    all_letters,
    check_replayable,
    letter_at,
    replay,
)
from services.cli.plain import print_json
from services.cli.server import JsonOption
from services.cli.views import box, cell, facts, harmless, moment
from services.cli.wording import counted
from services.events import codec
from services.events.topics import DEAD_LETTERS
from services.runtime.errors import Rejected
from services.runtime.kafka_history import KafkaHistory
from services.runtime.kafka_publisher import KafkaPublisher
from services.runtime.settings import KafkaSettings

dead_letters = typer.Typer(
    no_args_is_help=True,
    help="Messages that no service could take: look at them, and replay them when the cause is "
    "mended. The broker is that of MATRIX_KAFKA__BOOTSTRAP_SERVERS (and the other MATRIX_KAFKA__ "
    "settings), else the one that `matrix up` runs.",
)

UpOption = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="FILE",
        help="The endpoints.json of a `matrix up` elsewhere than in data/up.",
        show_default=False,
    ),
]
PlaceArgument = Annotated[str, typer.Argument(help="As `list` has it: 3@17.", show_default=False)]
_CLIENT = "matrix-dead-letters"
_SHOWN_BYTES = 512


@dead_letters.command("list")
def list_letters(
    limit: Annotated[int, typer.Option(min=1, help="Letters to list, the newest ones.")] = 50,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those that were not replayed yet.")
    ] = False,
    as_json: JsonOption = False,
    server: UpOption = "",
) -> None:
    """List dead letters, the newest last: place, time (UTC), service, topic, and why.

    Example: `matrix dead-letters list --waiting --json | jq -r .reason | sort | uniq -c`
    """
    with _history(broker_settings(server)) as history:
        found = all_letters(history)
    if waiting:
        found = [letter for letter in found if letter.replayed_at is None]
    shown = found[-limit:]
    if as_json:
        for letter in shown:
            print_json(_summary(letter))
        return
    if not found:
        note("no dead letters")
        return
    for letter in shown:
        output.print(_entry(letter), no_wrap=True, overflow="ellipsis")
    if len(found) > len(shown):
        note(f"the newest {len(shown):,} of {len(found):,}; --limit shows more")


@dead_letters.command()
def show(
    place: PlaceArgument,
    raw: Annotated[
        bool, typer.Option("--raw", help="Only the message's bytes, as they were.")
    ] = False,
    as_json: JsonOption = False,
    server: UpOption = "",
) -> None:
    """Show a dead letter with its message, decoded if it can be.

    Example: `matrix dead-letters show 3@17 --raw > message.bin`
    """
    with _history(broker_settings(server)) as history:
        letter = letter_at(history, Place.parse(place))
    content = letter.content
    if raw:
        sys.stdout.buffer.write(content.value)
        sys.stdout.buffer.flush()
        return
    event, problem = _decoded(letter)
    if as_json:
        print_json({**_summary(letter), "key": letter.key, "event": event, "undecoded": problem})
        return
    replayed = letter.replayed_at
    again = "not yet" if replayed is None else moment(replayed) or "yes"
    output.print(box("reason", [content.reason]))
    rows = [
        ("place", str(letter.place)),
        ("buried (UTC)", moment(letter.buried_at)),
        ("by", content.service),
        ("from", letter.origin),
        ("key", letter.key),
        ("replayed", again),
        ("not decoded", problem),
        *((f"header {name}", text) for name, text in sorted(content.headers.items())),
    ]
    output.print(facts(rows))
    size = counted(letter.size, "byte")
    if problem:
        output.print(box(f"message, {size}", _hexadecimal(content.value)))
        return
    text = orjson.dumps(event, option=orjson.OPT_INDENT_2).decode()
    output.print(box(f"message, {size}: {content.headers.get('type', '')}", [text]))


@dead_letters.command("replay")
def replay_letters(
    place: Annotated[str, typer.Argument(help="As `list` has it: 3@17.", show_default=False)] = "",
    every: Annotated[
        bool, typer.Option("--all", help="All that were not replayed yet, and are whole.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Even if it was replayed before.")] = False,
    server: UpOption = "",
) -> None:
    """Put a dead letter's message back on its topic and partition, as it was.

    It goes to the end, with a header `replayed-from`; the letter stays, marked as replayed.
    Services drop what they have had already, so that replaying twice is harmless.

    Example: `matrix dead-letters replay 3@17`
    """
    if bool(place) == every:
        raise Rejected("give the place of a letter, or --all")
    settings = broker_settings(server)
    with _history(settings) as history:
        partitions = history.partitions(DEAD_LETTERS.name)
        if place:
            chosen = [letter_at(history, Place.parse(place))]
            check_replayable(chosen[0], partitions)
            replayed = chosen[0].replayed_at
            if replayed is not None and not again:
                when = moment(replayed) or "before"
                raise Rejected(f"letter {place} was replayed already ({when}); --again repeats it")
        else:
            chosen = _whole(all_letters(history, whole=True), partitions, again)
    count = asyncio.run(_replay(settings, chosen)) if chosen else 0
    tell(f"{counted(count, 'letter')} replayed")


def _whole(letters: Sequence[Letter], partitions: int, again: bool) -> list[Letter]:
    """Return those of the letters that are to be replayed, and tell of those that cannot be."""
    chosen = []
    for letter in letters:
        if letter.replayed_at is not None and not again:
            continue
        try:
            check_replayable(letter, partitions)
        except Rejected as error:
            tell(f"not replayed: {harmless(str(error))}")
        else:
            chosen.append(letter)
    return chosen


async def _replay(settings: KafkaSettings, letters: Sequence[Letter]) -> int:
    publisher = KafkaPublisher(settings, _CLIENT)
    try:
        topics = {DEAD_LETTERS.name, *(letter.content.topic for letter in letters)}
        await publisher.start(sorted(topics))
        return await replay(publisher, letters)
    finally:
        await publisher.close()


@contextmanager
def _history(settings: KafkaSettings) -> Iterator[KafkaHistory]:
    history = KafkaHistory(settings, _CLIENT)
    try:
        yield history
    finally:
        history.close()


def _entry(letter: Letter) -> Text:
    """Return two lines: where it lies, since when, whose it was; and why."""
    content = letter.content
    mark = " (replayed)" if letter.replayed_at is not None else " (cut)" if letter.cut else ""
    parts = [moment(letter.buried_at), content.service or "(nobody)", content.topic]
    head = Text.assemble((f"{letter.place}{mark}", "bold"), "  ", harmless("  ".join(parts)))
    return head.append("\n    ").append_text(cell(content.reason))


def _summary(letter: Letter) -> dict[str, Any]:
    content = letter.content
    return {
        "place": str(letter.place),
        "buried_at": letter.buried_at,
        "service": content.service,
        "topic": content.topic,
        "partition": content.partition,
        "offset": content.offset,
        "reason": content.reason,
        "headers": dict(content.headers),
        "bytes": letter.size,
        "cut": letter.cut,
        "replayed_at": letter.replayed_at,
    }


def _decoded(letter: Letter) -> tuple[Any, str]:
    """Return the message as plain data, or why that cannot be."""
    if letter.cut:
        return None, "only its beginning was kept"
    try:
        return asdict(codec.from_delivery(letter.original())), ""
    except Rejected as error:
        return None, str(error)


def _hexadecimal(value: bytes) -> list[str]:
    lines = []
    for begin in range(0, min(len(value), _SHOWN_BYTES), 16):
        part = value[begin : begin + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{begin:04x}  {part.hex(' '):<47}  {text}")
    if len(value) > _SHOWN_BYTES:
        lines.append(f"... {len(value) - _SHOWN_BYTES:,} bytes more; --raw has all")
    return lines or ["(empty)"]
