"""What a reward model's server answers: /classify, and nothing that generates or embeds.

vLLM serves one with `--runner pooling --convert classify`. Its head has one class, whose logit is
the reward; unless told otherwise it squashes it by a sigmoid.
"""

import math
from random import Random

from aiohttp import web

from services.local.simulator import wire
from services.local.simulator.choosing import reward_logit
from services.local.simulator.endpoints import Endpoints
from services.local.simulator.fields import flag, served_name
from services.local.simulator.http import Routes
from services.local.simulator.refusals import too_long
from services.local.simulator.replies import classification_list
from services.local.simulator.responses import answer, json_of
from services.local.simulator.sequences import EngineSequence
from services.local.simulator.tokens import chat_tokens, count_tokens


class RewardEndpoints(Endpoints):
    """Handlers of a server with a score head."""

    def routes(self) -> Routes:
        """Return the handler of each (method, path)."""
        return {("POST", "/classify"): self.classify}

    async def classify(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /classify, of one conversation (`messages`) or of texts (`input`)."""
        body = await json_of(request)
        if "messages" in body:
            messages = wire.messages_of(body)
            opened = flag(body, "add_generation_prompt")
            counts = [len(chat_tokens(messages, opened=opened))]
            question = next((text for role, text in reversed(messages) if role == "user"), "")
            scored = [(question, messages[-1][1] if messages else "")]
        else:
            texts = wire.prompts_of(body, "input")
            counts = [count_tokens(text) for text in texts]
            scored = [("", text) for text in texts]
        model = served_name(body, self._settings.names)
        if max(counts) > self._settings.max_model_len:
            raise too_long(max(counts), 0, self._settings.max_model_len)
        squashed = flag(body, "use_activation", default=True)
        with self._engine.arrive(len(counts)) as call:
            await call.begin([EngineSequence(count) for count in counts])
            logits = [self._logit(model, question, response) for question, response in scored]
            numbers = [1 / (1 + math.exp(-logit)) for logit in logits] if squashed else logits
            self._note(request, model, ["\n".join(pair) for pair in scored], [])
            await call.end()
            envelope = self._envelope("classify", request)
            reply = classification_list(envelope, numbers, sum(counts))
            return await answer(request, reply, call.fault)

    def _logit(self, model: str, question: str, response: str) -> float:
        random = Random(f"{self._settings.seed} {model} {question}\x00{response}")
        return reward_logit(question, response, random.gauss(0.0, 1.0))
