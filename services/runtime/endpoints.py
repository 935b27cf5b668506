"""Model servers by address: what they serve, and whether they give rewards."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

from services.runtime.errors import Rejected, Retryable
from services.runtime.http_client import BadResponse, HttpClient
from services.runtime.ports import ChatRequest, Message
from services.runtime.wire import classify_body, parse_classify, parsed


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model server and the model asked for."""

    url: str
    """Base address without /v1."""
    model: str
    api_key: str = ""
    scores: bool = False
    """It is a reward model with a score head, and asked by /classify."""
    named: str = ""
    """What `url` was found by, when that was a name: `kserve://NAME`."""
    prompt_price: float = 0.0
    """Of a million tokens, in any currency."""
    completion_price: float = 0.0

    @property
    def server(self) -> str:
        """Its host and port, to tell it from others by; never what is secret in an address."""
        parts = urlsplit(self.url)
        return parts.netloc.rpartition("@")[2]

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return what a call costs."""
        cost = prompt_tokens * self.prompt_price + completion_tokens * self.completion_price
        return cost / 1_000_000

    def __repr__(self) -> str:
        return f"Endpoint(url={self.url!r}, model={self.model!r})"

    @property
    def headers(self) -> dict[str, str]:
        """Those that let us in."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


def told(error: Exception, timeout_seconds: float) -> str:
    """Return what went wrong between us and a server."""
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {timeout_seconds:g} s"
    if isinstance(error, BadResponse):
        return str(error)
    return f"{type(error).__name__} {error}"


async def has_score_head(endpoint: Endpoint, timeout_seconds: float = 60.0) -> bool:
    """Return whether a server is a reward model with a score head, by asking it for a reward.

    A generating server has no /classify.

    Raises:
        Rejected: it classifies, but does not answer with one number.
        Retryable: it does not answer, or says that it cannot now.
    """
    turns = (Message("user", "2+2?"), Message("assistant", "4"))
    body = classify_body(endpoint.model, ChatRequest(turns, max_tokens=1))
    try:
        async with HttpClient(timeout_seconds) as client:
            response = await client.post(
                f"{endpoint.url}/classify", endpoint.headers, orjson.dumps(body)
            )
    except (BadResponse, OSError) as error:
        raise Retryable(f"{endpoint.url}: {told(error, timeout_seconds)}") from error
    if response.status >= 500:
        raise Retryable(
            f"{endpoint.url}/classify answered HTTP {response.status}: {response.content[:200]!r}"
        )
    if response.status != 200:
        return False
    try:
        parsed(response.content, parse_classify)
    except Retryable as error:
        raise Rejected(
            f"model {endpoint.model!r} at {endpoint.url} is no reward model: {error}"
        ) from error
    return True


async def served_models(url: str, api_key: str = "", timeout_seconds: float = 10.0) -> list[str]:
    """Return the names of the models that a server offers.

    Raises:
        Rejected: nothing answers there, or what answers is no OpenAI-compatible server.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    advice = "is a vLLM or other OpenAI-compatible server running there?"
    try:
        async with HttpClient(timeout_seconds) as client:
            response = await client.get(f"{url}/v1/models", headers)
        if response.status in (401, 403):
            advice = "is the API key missing or wrong?"
        if response.status != 200:
            raise Rejected(f"{url}/v1/models answered HTTP {response.status}; {advice}")
        return [model["id"] for model in orjson.loads(response.content)["data"]]
    except (BadResponse, OSError, ValueError) as error:
        raise Rejected(f"{url}: {told(error, timeout_seconds)}; {advice}") from error
    except (KeyError, TypeError) as error:
        raise Rejected(f"{url}/v1/models gave no list of models; {advice}") from error
