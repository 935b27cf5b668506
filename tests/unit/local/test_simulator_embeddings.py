"""Embeddings: unit length, equal for equal texts, nearer the more words are shared."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.local.simulator.embeddings import DIMENSIONS, embed


def cosine(first: str, second: str) -> float:
    return float(embed(first) @ embed(second))


@given(st.text())
def test_every_text_has_a_finite_vector_of_unit_length(text: str) -> None:
    vector = embed(text)
    assert vector.shape == (DIMENSIONS,)
    assert vector.dtype == np.float32
    assert abs(float(np.linalg.norm(vector)) - 1.0) < 1e-5
    assert np.array_equal(vector, embed(text))


def test_nearness_follows_shared_words() -> None:
    pharmacist = "A hospital pharmacist who audits antibiotic stock"
    assert cosine(pharmacist, "the hospital pharmacist audits antibiotic supplies") > 0.5
    assert cosine(pharmacist, "A nurse at the hospital counts stock") > 0.15
    assert abs(cosine(pharmacist, "Painter of seabirds with a studio near cliffs")) < 0.2


def test_stop_words_do_not_count() -> None:
    assert cosine("the baker and the oven", "a baker with an oven") > 0.999


def test_word_order_counts_a_little() -> None:
    same_words = cosine("baker sells bread daily", "bread daily baker sells")
    assert 0.8 < same_words < 0.999


def test_unrelated_texts_are_about_orthogonal() -> None:
    words = [
        f"{chr(97 + a)}{chr(97 + b)}{chr(97 + c)}q"
        for a in range(9)
        for b in range(9)
        for c in range(3)
    ]
    vectors = np.stack([embed(word) for word in words[:200]])
    off_diagonal = (vectors @ vectors.T)[np.triu_indices(200, 1)]
    assert abs(float(off_diagonal.mean())) < 0.01
    assert float(off_diagonal.std()) < 1.3 / np.sqrt(DIMENSIONS)
