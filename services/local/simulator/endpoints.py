"""What the server does where a model is called: chats, completions, embeddings."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from random import Random

from aiohttp import web

from services.local.simulator import wire
from services.local.simulator.answers import Generated, Sampling, cut_in_half, generate
from services.local.simulator.embeddings import DIMENSIONS, embed
from services.local.simulator.engine import Engine, LoggedCall
from services.local.simulator.faults import Fault
from services.local.simulator.fields import flag, served_name, string, whole
from services.local.simulator.logprobs import Place, prompt_scores
from services.local.simulator.prompt import Prompt, read_prompt
from services.local.simulator.refusals import bad_request, grammar_error, too_long
from services.local.simulator.replies import (
    VERSION,
    Envelope,
    chat_completion,
    completion,
    embedding_list,
)
from services.local.simulator.responses import Handler, answer, json_of, stream
from services.local.simulator.schema import SchemaError
from services.local.simulator.settings import SimulatorSettings
from services.local.simulator.streams import chat_chunks, completion_chunks
from services.local.simulator.tokens import count_chat_tokens, count_tokens, tokenize

_YES_OR_NO = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)


class Endpoints:
    """Handlers of model calls around one engine; `log` gets the answered calls if there is one."""

    def __init__(
        self, settings: SimulatorSettings, engine: Engine, log: list[LoggedCall] | None
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._log = log
        self._answered = 0
        build = blake2b(f"{settings.names[0]} {settings.seed}".encode(), digest_size=4).hexdigest()
        self._fingerprint = f"vllm-{VERSION}-{build}"

    def table(self) -> dict[tuple[str, str], Handler]:
        """Return the handler of each (method, path)."""
        return {
            ("POST", "/v1/chat/completions"): self.chat,
            ("POST", "/v1/completions"): self.complete,
            ("POST", "/v1/embeddings"): self.embeddings,
        }

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        body = await json_of(request)
        messages = wire.messages_of(body)
        streaming = wire.streaming_of(body)
        model = served_name(body, self._settings.names)
        prompt_tokens = count_chat_tokens(messages)
        sampling = self._sampling(body, prompt_tokens, chat=True)
        async with self._engine.call() as fault:
            choices = self._choices(read_prompt(messages), sampling, model, fault)
            envelope = self._envelope("chatcmpl", request)
            self._note(request, model, ["\n".join(text for _, text in messages)], choices)
            if streaming.wanted and fault is not Fault.GARBAGE:
                chunks = chat_chunks(
                    envelope, choices, prompt_tokens, with_usage=streaming.with_usage
                )
                return await stream(request, chunks, self._engine)
            await self._engine.spend(_longest(choices))
            return answer(chat_completion(envelope, choices, prompt_tokens), fault)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        body = await json_of(request)
        texts = wire.prompts_of(body)
        streaming = wire.streaming_of(body)
        model = served_name(body, self._settings.names)
        counts = [count_tokens(text) for text in texts]
        samplings = [self._sampling(body, count, chat=False) for count in counts]
        echo, asked = flag(body, "echo"), whole(body, "prompt_logprobs")
        async with self._engine.call() as fault:
            choices: list[Generated] = []
            replied: list[Generated] = []
            given: list[list[Place] | None] = []
            for text, sampling in zip(texts, samplings, strict=True):
                # A bare text that goes on is no question, unless it speaks of yes or no.
                verdicts = _YES_OR_NO.search(text) is not None
                prompt = read_prompt([("user", text)])
                made = self._choices(prompt, sampling, model, fault, verdicts=verdicts)
                count = sampling.logprobs if asked is None and echo else asked
                tokens = tokenize(text) if echo or count is not None else []
                seed = Random(f"{self._settings.seed} {model} {text}")
                scores = None if count is None else prompt_scores(tokens, count, seed)
                choices += made
                replied += [_echoed(text, tokens, scores, one) for one in made] if echo else made
                given += [scores] * len(made)
            envelope = self._envelope("cmpl", request)
            self._note(request, model, texts, choices)
            if streaming.wanted and fault is not Fault.GARBAGE:
                return await stream(request, completion_chunks(envelope, replied), self._engine)
            await self._engine.spend(_longest(choices))
            generated = sum(len(choice.tokens) for choice in choices)
            return answer(completion(envelope, replied, sum(counts), generated, given), fault)

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/embeddings."""
        body = await json_of(request)
        texts = wire.prompts_of(body, "input")
        model = served_name(body, self._settings.names)
        encoding = string(body, "encoding_format") or "float"
        if encoding not in ("float", "base64"):
            raise bad_request(f"encoding_format must be float or base64, got {encoding}.")
        if whole(body, "dimensions") not in (None, DIMENSIONS):
            raise bad_request(
                f'Model "{model}" does not support matryoshka representation, '
                "changing output dimensions will lead to poor results."
            )
        counts = [count_tokens(text) for text in texts]
        if max(counts) > self._settings.max_model_len:
            raise too_long(max(counts), 0, self._settings.max_model_len)
        async with self._engine.call() as fault:
            vectors = [embed(text) for text in texts]
            self._note(request, model, texts, [])
            await self._engine.spend(0)
            envelope = self._envelope("embd", request)
            return answer(embedding_list(envelope, vectors, sum(counts), encoding), fault)

    def _sampling(self, body: wire.Body, prompt_tokens: int, *, chat: bool) -> Sampling:
        limit = self._settings.max_model_len
        return wire.sampling_of(body, chat=chat, prompt_tokens=prompt_tokens, limit=limit)

    def _choices(
        self,
        prompt: Prompt,
        sampling: Sampling,
        model: str,
        fault: Fault | None,
        *,
        verdicts: bool = True,
    ) -> list[Generated]:
        try:
            choices = generate(
                prompt,
                sampling,
                model=model,
                seed=self._settings.seed,
                verdicts=verdicts,
                stray_share=self._settings.stray_index,
            )
        except SchemaError as wrong:
            raise grammar_error(str(wrong)) from None
        return [cut_in_half(one) for one in choices] if fault is Fault.TRUNCATED else choices

    def _envelope(self, kind: str, request: web.Request) -> Envelope:
        self._answered += 1
        name = request.headers.get("X-Request-Id")
        if name is None:
            name = blake2b(f"{kind} {self._answered}".encode(), digest_size=8).hexdigest()
        return Envelope(
            f"{kind}-{name}", int(time.time()), self._settings.names[0], self._fingerprint
        )

    def _note(
        self,
        request: web.Request,
        model: str,
        prompts: Sequence[str],
        choices: Sequence[Generated],
    ) -> None:
        if self._log is not None:
            answers = tuple(choice.text for choice in choices)
            self._log.append(LoggedCall(request.path, model, tuple(prompts), answers))


def _echoed(
    text: str, tokens: Sequence[str], scores: list[Place] | None, choice: Generated
) -> Generated:
    """Return `choice` with its prompt in front."""
    places = None
    if choice.scores is not None:
        places = (*(scores or ()), *choice.scores)
    return replace(choice, text=text + choice.text, tokens=(*tokens, *choice.tokens), scores=places)


def _longest(choices: Sequence[Generated]) -> int:
    return max(len(choice.tokens) for choice in choices)
