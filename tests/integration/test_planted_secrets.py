"""Secrets are planted in the settings, everything goes wrong, and nothing that is shown has one."""

import asyncio
import pprint
import subprocess
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import rich.pretty
import structlog
from pydantic import BaseModel, SecretStr

from services.local.endpoints import ModelChoice
from services.runtime.endpoints import Endpoint, served_models
from services.runtime.errors import MatrixError, Rejected, Retryable
from services.runtime.grpc_channels import Access, open_channel
from services.runtime.grpc_statuses import explained
from services.runtime.kafka_publisher import KafkaPublisher
from services.runtime.metrics import Metrics
from services.runtime.model_servers import ROLES, open_models
from services.runtime.models import CallSettings, HttpModels
from services.runtime.object_store import bucket_of, prepare_bucket
from services.runtime.ports import ChatRequest, Message
from services.runtime.settings import ObjectStoreSettings, Settings, read_settings
from tests.integration.grpc_probe import ask
from tests.integration.scripted import Scripted, http

NOWHERE = "127.0.0.1:1"
"""Where nothing listens."""
HELLO = ChatRequest((Message("user", "Hello."),), max_tokens=4)


def secret_variables(model: type[BaseModel], prefix: str = "MATRIX_") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if kind is SecretStr:
            yield f"{prefix}{name}".upper()
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from secret_variables(kind, f"{prefix}{name}__".upper())


SECRETS = {
    name: f"canary{number:02}secret"
    for number, name in enumerate([*secret_variables(Settings), "MATRIX_MODEL_API_KEY"])
}


def assert_hidden(shown: str) -> None:
    assert shown
    assert "canary" not in shown


def told(error: BaseException) -> str:
    """All that anybody could print of an error, with those that led to it."""
    parts = ["".join(traceback.format_exception(error))]
    while True:
        parts += [str(error), repr(error), repr(error.args)]
        earlier = error.__cause__ or error.__context__
        if earlier is None:
            return "\n".join(parts)
        error = earlier


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    return read_settings()


@pytest.fixture
def endpoint(settings: Settings) -> Endpoint:
    key = settings.models.simulator.api_key.get_secret_value()
    assert "canary" in key
    return Endpoint(f"http://{NOWHERE}", "m", key)


def hasty(endpoint: Endpoint) -> HttpModels:
    calls = CallSettings(1.0, 0.01, 0.001, 0.001)
    return HttpModels(dict.fromkeys(ROLES, endpoint), Metrics().model, settings=calls)


def test_every_secret_is_planted(settings: Settings) -> None:
    assert len(SECRETS) >= 10
    assert settings.kafka.sasl_password.get_secret_value() in SECRETS.values()
    assert settings.object_store.secret_key.get_secret_value() in SECRETS.values()
    assert settings.grpc.token.get_secret_value() in SECRETS.values()


def test_what_holds_a_secret_does_not_show_it(settings: Settings, endpoint: Endpoint) -> None:
    holders: list[Any] = [
        *(settings, settings.kafka, settings.grpc, settings.object_store, settings.models),
        *(endpoint, ModelChoice(endpoint.url, "m", endpoint.api_key), hasty(endpoint)),
        *(Access.of(settings.grpc), KafkaPublisher(settings.kafka, "test")),
    ]
    for holder in (*holders, holders, {"held": holders}):
        for shown in (repr, str, pprint.pformat, rich.pretty.pretty_repr):
            assert_hidden(shown(holder))
    assert_hidden(settings.model_dump_json())
    assert_hidden(repr(settings.model_dump()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MATRIX_KAFKA__PARTITIONS", "canary"),
        ("MATRIX_KAFKA__SECURITY_PROTOCOL", "canary"),
        ("MATRIX_KAFKA__SASL_PASSWORDS", "canary"),
        ("MATRIX_KAFKA", "canary"),
        ("MATRIX_KAFKA", '{"sasl_password": "canary", "partitions": 0}'),
        ("MATRIX_KAFKA", '{"sasl_password": "canary"'),
        ("MATRIX_GRPC", '["canary"]'),
        ("MATRIX_MODELS__TEACHER", "canary"),
        ("MATRIX_MODELS__TEACHER__KEY", "canary"),
        ("MATRIX_MAX_PENDING", "canary"),
        ("MATRIX_LOG_FORMAT", "canary"),
    ],
)
def test_settings_that_cannot_be_used_are_named_and_not_shown(
    settings: Settings, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Rejected) as unusable:
        read_settings()
    assert_hidden(told(unusable.value))
    assert name.removeprefix("MATRIX_").split("__")[0] in str(unusable.value).upper()


async def test_errors_of_model_servers_that_cannot_be_reached_show_no_key(
    endpoint: Endpoint,
) -> None:
    async with hasty(endpoint) as models:
        with pytest.raises(Retryable) as unreached:
            await models.chat("teacher", "act", HELLO)
    assert_hidden(told(unreached.value))
    with pytest.raises(Rejected) as nowhere:
        await served_models(endpoint.url, endpoint.api_key)
    assert_hidden(told(nowhere.value))


@pytest.mark.parametrize("status", [400, 401, 403, 500, 200])
async def test_a_server_that_repeats_the_key_does_not_get_it_into_an_error(
    endpoint: Endpoint, status: int
) -> None:
    said = b'{"error": {"message": "Incorrect API key: Bearer %s"}}' % endpoint.api_key.encode()
    async with Scripted(*[http(status, said)] * 99) as server:
        there = Endpoint(server.url, "m", endpoint.api_key)
        with pytest.raises(MatrixError) as unlisted:
            await served_models(there.url, there.api_key)
        async with hasty(there) as models:
            with pytest.raises(MatrixError) as refused:
                await models.chat("teacher", "act", HELLO)
        assert all(endpoint.api_key in request.head for request in server.requests)
    assert_hidden(told(refused.value))
    assert_hidden(told(unlisted.value))


async def test_waiting_for_a_model_that_refuses_the_key_logs_no_key(settings: Settings) -> None:
    key = settings.models.simulator.api_key.get_secret_value()
    async with Scripted(http(401, key.encode())) as server:
        at = settings.models.simulator.model_copy(update={"url": server.url})
        with structlog.testing.capture_logs() as logs:
            waiting = asyncio.create_task(
                open_models(settings.models.model_copy(update={"simulator": at}), Metrics().model)
            )
            async with asyncio.timeout(10):
                while not logs:
                    await asyncio.wait([waiting], timeout=0.01)
            waiting.cancel()
    assert_hidden(repr(logs))


async def test_errors_of_an_object_store_show_no_key(
    settings: Settings, bucket: ObjectStoreSettings
) -> None:
    planted = settings.object_store
    keys = {"access_key": planted.access_key, "secret_key": planted.secret_key}
    refused = bucket.model_copy(update=keys)
    for store in (refused, refused.model_copy(update={"endpoint": f"http://{NOWHERE}"})):
        with pytest.raises(MatrixError) as error:
            await prepare_bucket(store)
        assert_hidden(told(error.value))
    with pytest.raises(Rejected) as unusable:
        bucket_of(planted.model_copy(update={"url": "ftp://store"}))
    assert_hidden(told(unusable.value))


@pytest.mark.parametrize("ending", ["", "\n", "\u00e9"])
async def test_errors_of_grpc_calls_show_no_token(settings: Settings, ending: str) -> None:
    token = SecretStr(settings.grpc.token.get_secret_value() + ending)

    async def call() -> None:
        async with open_channel(NOWHERE, Access(token=token)) as channel:
            with explained(NOWHERE):
                await ask(channel)(b"", timeout=5)

    with pytest.raises(MatrixError) as failed:
        await call()
    assert_hidden(told(failed.value))


CRASH = """
import asyncio, structlog
from services.runtime.logs import configure_service_logs
from services.runtime.metrics import Metrics
from services.runtime.models import CallSettings, Endpoint, HttpModels
from services.runtime.ports import ChatRequest, Message
from services.runtime.settings import read_settings

def prompt():
    return "can" + "ary"

async def main(settings):
    there = Endpoint("http://NOWHERE", "m", settings.models.simulator.api_key.get_secret_value())
    calls = CallSettings(1.0, 0.01, 0.001, 0.001)
    async with HttpModels({"teacher": there}, Metrics().model, settings=calls) as models:
        try:
            request = ChatRequest((Message("user", prompt()),), max_tokens=4)
            await models.chat("teacher", "act", request)
        except Exception:
            structlog.get_logger().exception("crashed", settings=settings)

configure_service_logs("test", FORM)
asyncio.run(main(read_settings()))
"""
"""A call that fails, logged as workers log what they did not expect."""


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_logged_crash_shows_neither_secrets_nor_prompts(settings: Settings, form: str) -> None:
    script = CRASH.replace("FORM", repr(form)).replace("NOWHERE", NOWHERE)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0
    assert "Traceback" in ended.stderr
    assert "canary" not in ended.stderr


def test_the_command_line_tells_of_a_server_that_is_away_without_the_key(
    settings: Settings, tmp_path: Any
) -> None:
    command = [sys.executable, "-m", "services.cli", "run", "--verbose"]
    command += ["--model", f"http://{NOWHERE}", "--out", str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert NOWHERE in ended.stderr
    assert "canary" not in ended.stdout + ended.stderr
