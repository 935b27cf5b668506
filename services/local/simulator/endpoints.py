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
from services.local.simulator.call import LoggedCall
from services.local.simulator.embeddings import DIMENSIONS, embed
from services.local.simulator.engine import Engine
from services.local.simulator.faults import Fault
from services.local.simulator.fields import flag, served_name, string, whole
from services.local.simulator.http import Routes
from services.local.simulator.kv_cache import Chain, chat_chain, text_chain
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
from services.local.simulator.responses import answer, json_of, stream
from services.local.simulator.schema import SchemaError
from services.local.simulator.sequences import EngineSequence
from services.local.simulator.settings import SimulatorSettings
from services.local.simulator.streams import ChatStream, CompletionStream
from services.local.simulator.tokens import Messages, count_chat_tokens, count_tokens, tokenize

_SPREADING = 0x9E37_79B9_7F4A_7C15
"""2**64 over the golden ratio: multiples of it look random, and none comes twice."""
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

    def routes(self) -> Routes:
        """Return the handler of each (method, path)."""
        return {
            ("POST", "/v1/chat/completions"): self.chat,
            ("POST", "/v1/completions"): self.complete,
            ("POST", "/v1/embeddings"): self.embeddings,
        }

    async def chat(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        body = await json_of(request)
        messages = wire.messages_of(body)
        streaming = wire.streaming_of(body)
        model = served_name(body, self._settings.names)
        chain, prompt_tokens = self._read(messages, string(body, "cache_salt") or "")
        sampling = self._sampling(body, prompt_tokens, chat=True)
        priority = whole(body, "priority") or 0
        with self._engine.arrive(sampling.n) as call:
            choices = self._choices(read_prompt(messages), sampling, model, call.fault)
            sequences = _sequences(prompt_tokens, chain, choices, sampling)
            await call.begin(sequences, choices=sampling.n, priority=priority)
            envelope = self._envelope("chatcmpl", request)
            self._note(request, model, ["\n".join(text for _, text in messages)], choices)
            cached = sequences[0].cached_tokens
            if streaming.wanted and call.fault is not Fault.GARBAGE:
                with_usage = streaming.with_usage
                chunks = ChatStream(envelope, choices, prompt_tokens, cached, with_usage=with_usage)
                return await stream(request, chunks, call)
            await call.end()
            reply = chat_completion(envelope, choices, prompt_tokens, cached)
            return await answer(request, reply, call.fault)

    async def complete(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /v1/completions."""
        body = await json_of(request)
        texts = wire.prompts_of(body)
        streaming = wire.streaming_of(body)
        model = served_name(body, self._settings.names)
        chains = self._chains(texts, string(body, "cache_salt") or "")
        counts = [count_tokens(text) for text in texts]
        samplings = [self._sampling(body, count, chat=False) for count in counts]
        echo, asked = flag(body, "echo"), whole(body, "prompt_logprobs")
        priority = whole(body, "priority") or 0
        with self._engine.arrive(sum(sampling.n for sampling in samplings)) as call:
            sequences: list[EngineSequence] = []
            choices: list[Generated] = []
            replied: list[Generated] = []
            given: list[list[Place] | None] = []
            for text, chain, sampling in zip(texts, chains, samplings, strict=True):
                # A bare text that goes on is no question, unless it speaks of yes or no.
                verdicts = _YES_OR_NO.search(text) is not None
                prompt = read_prompt([("user", text)])
                made = self._choices(prompt, sampling, model, call.fault, verdicts=verdicts)
                count = sampling.logprobs if asked is None and echo else asked
                tokens = tokenize(text) if echo or count is not None else []
                seed = Random(f"{self._settings.seed} {model} {text}")
                scores = None if count is None else prompt_scores(tokens, count, seed)
                # Tokens that the cache has are not computed again, so they have no scores.
                reads = count is None
                sequences += _sequences(count_tokens(text), chain, made, sampling, reads=reads)
                choices += made
                replied += [_echoed(text, tokens, scores, one) for one in made] if echo else made
                given += [scores] * len(made)
            await call.begin(sequences, choices=samplings[0].n, priority=priority)
            envelope = self._envelope("cmpl", request)
            self._note(request, model, texts, choices)
            if streaming.wanted and call.fault is not Fault.GARBAGE:
                pairs = zip(replied, choices, strict=True)
                echoed = [len(said.tokens) - len(made.tokens) for said, made in pairs]
                return await stream(request, CompletionStream(envelope, replied, echoed), call)
            await call.end()
            generated = sum(len(choice.tokens) for choice in choices)
            cached = sum(one.cached_tokens for one in sequences[:: samplings[0].n])
            reply = completion(envelope, replied, sum(counts), generated, given, cached)
            return await answer(request, reply, call.fault)

    async def embeddings(self, request: web.BaseRequest) -> web.StreamResponse:
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
        chains = self._chains(texts)
        with self._engine.arrive(len(texts)) as call:
            await call.begin(
                [
                    EngineSequence(count, chain=chain)
                    for count, chain in zip(counts, chains, strict=True)
                ]
            )
            vectors = [embed(text) for text in texts]
            self._note(request, model, texts, [])
            await call.end()
            envelope = self._envelope("embd", request)
            reply = embedding_list(envelope, vectors, sum(counts), encoding)
            return await answer(request, reply, call.fault)

    def _sampling(self, body: wire.Body, prompt_tokens: int, *, chat: bool) -> Sampling:
        limit = self._settings.max_model_len
        return wire.sampling_of(body, chat=chat, prompt_tokens=prompt_tokens, limit=limit)

    def _read(self, messages: Messages, salt: str) -> tuple[Chain | None, int]:
        """Return a chat in blocks of the KV cache, if there is one, and its tokens."""
        cache = self._engine.cache
        if cache is None:
            return None, count_chat_tokens(messages)
        chain = chat_chain(messages, cache.block_size, salt)
        return chain, chain.tokens(cache.block_size)

    def _chains(self, texts: Sequence[str], salt: str = "") -> list[Chain | None]:
        """Return texts in blocks of the KV cache; None for each where there is none."""
        cache = self._engine.cache
        if cache is None:
            return [None] * len(texts)
        return [text_chain(text, cache.block_size, salt) for text in texts]

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

    def _envelope(self, kind: str, request: web.BaseRequest) -> Envelope:
        self._answered += 1
        name = request.headers.get("X-Request-Id")
        if name is None:
            name = f"{self._answered * _SPREADING % 2**64:016x}"
        return Envelope(
            f"{kind}-{name}", int(time.time()), self._settings.names[0], self._fingerprint
        )

    def _note(
        self,
        request: web.BaseRequest,
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


def _sequences(
    prompt_tokens: int,
    chain: Chain | None,
    choices: Sequence[Generated],
    sampling: Sampling,
    *,
    reads: bool = True,
) -> list[EngineSequence]:
    """Return what the engine has to do for the choices of one prompt."""
    return [
        EngineSequence(
            prompt_tokens,
            choice.tokens,
            choice.finish_reason,
            max_tokens=sampling.max_tokens,
            chain=chain,
            reads_cache=reads,
        )
        for choice in choices
    ]
