import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.vectors import cosine, quantised, similarities

VECTORS = st.lists(st.integers(-1000, 1000).map(float), min_size=3, max_size=3)


@given(VECTORS, VECTORS)
def test_a_quantised_vector_keeps_its_direction(first: list[float], second: list[float]) -> None:
    (similar,) = similarities(first, [quantised(second)])
    # Rounding turns a vector of three components by at most asin(0.5 * sqrt(3) / 127).
    assert similar == pytest.approx(cosine(first, second), abs=0.01)


def test_a_vector_of_many_dimensions_keeps_its_similarities() -> None:
    rng = np.random.default_rng(1)
    texts = rng.normal(size=(20, 384)) + rng.normal(size=384)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    found = similarities(texts[0].tolist(), [quantised(text.tolist()) for text in texts])
    assert found == pytest.approx((texts @ texts[0]).tolist(), abs=0.005)
    assert len(quantised(texts[0].tolist())) == 384


def test_a_stored_vector_of_another_length_is_like_nothing_and_spoils_no_other() -> None:
    stored = [b"", quantised([3.0, 0.0]), quantised([1.0, 1.0, 1.0]), quantised([0.0, -2.0])]
    assert similarities([1.0, 0.0], stored) == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("query", [[], [0.0, 0.0], [1.0, 0.0]])
def test_what_has_no_direction_is_like_nothing(query: list[float]) -> None:
    assert similarities(query, [b"", quantised([0.0, 0.0])]) == [0.0, 0.0]
    assert similarities(query, []) == []
    assert cosine(query, []) == cosine(query, [0.0] * len(query)) == 0.0
