"""What `matrix datasets export` writes, one optimiser step of TRL takes as it is."""

import math
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from services.reward_filtering.answers import same_answer, split_answer
from tests.e2e.conftest import command

datasets = pytest.importorskip("datasets")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
trl = pytest.importorskip("trl")

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]

SAMPLES = 8
VOCABULARY = 600
CHAT = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def export(kind: str, work: Path) -> Any:
    """Return the export of a dataset that a run of the kind made, as `datasets` loads it."""
    out, target = work / "out", work / "export"
    size = ["--samples", SAMPLES, "--agents", 30]
    if kind == "domain":
        size += ["--requirement", "hospital pharmacy"]
    commands: tuple[list[Any], ...] = (
        ["run", "--model", "simulated", "--kind", kind, *size, "--out", out],
        ["datasets", "export", kind, "--out", out, "--to", target],
    )
    for arguments in commands:
        done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    loaded = datasets.load_dataset(str(target), cache_dir=str(work / "cache"), split="train")
    assert len(loaded) == SAMPLES
    return loaded


def contents(value: Any) -> Iterator[str]:
    """Iterate over what is said in the messages of a row's columns."""
    if isinstance(value, list):
        for each in value:
            yield from contents(each)
    elif isinstance(value, dict):
        yield from [value["content"]] if "content" in value else contents(list(value.values()))


def tokenizer_of(rows: Any) -> Any:
    """Return a byte-level BPE tokenizer trained on the messages of a dataset."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for row in rows for text in contents(row)), trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>", chat_template=CHAT
    )


def write_tiny_model(tokenizer: Any, folder: Path) -> str:
    """Write a Llama of two layers, whose weights are random, and its tokenizer."""
    transformers.set_seed(11)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    tokens = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), bos_token_id=None, **size, **heads)
    config.update(tokens)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def train_one_step(method: str, rows: Any, work: Path, **options: Any) -> list[dict[str, float]]:
    """Train one step with TRL's trainer of that name; return what it logged.

    Nothing is done to the rows first: their columns are what this is about.
    """
    rewards = {"reward_funcs": options.pop("reward_funcs")} if "reward_funcs" in options else {}
    config = getattr(trl, f"{method}Config")(
        output_dir=str(work / "trained"),
        max_steps=1,
        per_device_train_batch_size=SAMPLES,
        learning_rate=1e-2,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
        **options,
    )
    trainer = getattr(trl, f"{method}Trainer")(
        model=write_tiny_model(tokenizer_of(rows), work / "model"),
        args=config,
        train_dataset=rows,
        **rewards,
    )
    weights = trainer.model.named_parameters()
    before = {name: weight.detach().clone() for name, weight in weights}
    assert math.isfinite(trainer.train().training_loss)
    assert trainer.state.global_step == 1
    after = dict(trainer.model.named_parameters())
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(torch.isfinite(weight).all() for weight in after.values())
    logged: list[dict[str, float]] = trainer.state.log_history
    assert all(math.isfinite(value) for entry in logged for value in entry.values())
    return logged


@pytest.mark.parametrize("kind", ["sft", "domain", "safety", "multi_turn"])
def test_conversations_train_a_model(tmp_path: Path, kind: str) -> None:
    rows = export(kind, tmp_path)
    logged = train_one_step("SFT", rows, tmp_path)
    # A random model is about as unsure as one that guesses among all tokens.
    assert logged[0]["loss"] == pytest.approx(math.log(VOCABULARY), rel=0.1)


def test_pairs_train_a_model(tmp_path: Path) -> None:
    rows = export("dpo", tmp_path)
    logged = train_one_step("DPO", rows, tmp_path)
    # Before its first step the model is its own reference: -log(sigmoid(0)), arXiv 2305.18290.
    assert logged[0]["loss"] == pytest.approx(math.log(2), rel=1e-3)


def test_verifiable_prompts_train_a_model(tmp_path: Path) -> None:
    rows = export("reasoning", tmp_path)
    asked: list[tuple[str, str]] = []

    def is_correct(completions: list[Any], answer: list[str], **_: Any) -> list[float]:
        said = [completion[0]["content"] for completion in completions]
        asked.extend(zip(said, answer, strict=True))
        return [
            float(same_answer(split_answer(text)[1], right))
            for text, right in zip(said, answer, strict=True)
        ]

    def is_long(completions: list[Any], **_: Any) -> list[float]:
        return [float(len(completion[0]["content"])) for completion in completions]

    # The student's rollouts have the rewards that the same function gives them now.
    for row in rows:
        rollouts = [[{"role": "assistant", "content": text}] for text in row["rollouts"]]
        assert is_correct(rollouts, [row["answer"]] * len(rollouts)) == row["rewards"]
    asked.clear()

    # A model that says anything is not correct: without a second reward all advantages are 0.
    logged = train_one_step(
        "GRPO",
        rows,
        tmp_path,
        reward_funcs=[is_correct, is_long],
        num_generations=2,
        max_completion_length=8,
    )
    assert len(asked) == SAMPLES
    assert {answer for _, answer in asked} <= set(rows["answer"])
    assert logged[0]["rewards/is_long/mean"] > 0


def test_programming_tasks_train_a_model(tmp_path: Path) -> None:
    rows = export("code", tmp_path)
    given: list[tuple[str, str]] = []

    def is_long(
        completions: list[Any], tests: list[str], answer: list[str], **_: Any
    ) -> list[float]:
        given.extend(zip(tests, answer, strict=True))
        return [float(len(completion[0]["content"])) for completion in completions]

    logged = train_one_step(
        "GRPO",
        rows,
        tmp_path,
        reward_funcs=[is_long],
        num_generations=2,
        max_completion_length=8,
    )
    # What a reward function needs to run the code is there: the tests, and a solution that passes.
    assert set(given) <= set(zip(rows["tests"], rows["answer"], strict=True))
    assert all("def " in answer and "assert" in tests for tests, answer in given)
    assert len(given) == SAMPLES
    assert logged[0]["rewards/is_long/mean"] > 0
