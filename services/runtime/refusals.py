"""A model that refuses one prompt, told from one that refuses everything."""

from services.runtime.errors import Rejected, Retryable
from services.runtime.ports import ChatAnswer, ChatModel, ChatRequest, Message, Role

_PROBE = ChatRequest((Message("user", "Answer yes."),), max_tokens=16)
"""What any model answers that works at all."""


class ProbedModel:
    """A chat model whose refusals are verdicts on the prompt, and on nothing else.

    Callers take a refusal for an answer and go on without one. When it is the key, the model's
    name or a limit of the server that is wrong, a whole society would go on without answers.
    """

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        """Ask the model; see `ports.ChatModel`.

        Raises:
            Rejected: the model refuses this prompt, and answers another one.
            Retryable: no answer in spite of retries, or it refuses everything.
        """
        try:
            return await self._model.chat(role, stage, request)
        except Rejected as refusal:
            try:
                await self._model.chat(role, stage, _PROBE)
            except Rejected:
                raise Retryable(
                    f"{refusal}. It refuses any other request, too: check the model's name, the "
                    "API key and the limits of the server"
                ) from refusal
            raise
