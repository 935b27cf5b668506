"""Assignment of rows to columns that take only so many: the step of k-means that keeps bounds."""

import math

import numpy as np
from numpy.typing import NDArray

DISPLACEMENT_ROUNDS = 50
"""Rounds in which a better row may take another one's place; bounds long chains of refusals."""
BLOCK_ROWS = 65536


def assign_within_bounds(
    similarity: NDArray[np.float32], lower: NDArray[np.intp], upper: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Assign every row to a column, each column taking `lower` to `upper` rows.

    Deferred acceptance (Gale & Shapley, 1962): a row proposes to the column it likes best among
    those that would have it, and a full column keeps the rows most similar to it. Columns below
    their lower bound then draw the most similar rows from columns that can spare them.

    Args:
        similarity: (rows x columns).
        lower: Per column; together at most the number of rows.
        upper: Per column, at least 1 and `lower`; together at least the number of rows.

    Returns:
        The column of each row.
    """
    rows, columns = similarity.shape
    labels = np.full(rows, -1, dtype=np.intp)
    worst = np.full(columns, -np.inf, dtype=np.float32)
    waiting = np.arange(rows)
    turn = 0
    while len(waiting):
        if turn == DISPLACEMENT_ROUNDS:  # from here on nobody who has a place loses it
            worst[np.isfinite(worst)] = np.inf
        for block in np.array_split(waiting, math.ceil(len(waiting) / BLOCK_ROWS)):
            offers = similarity[block]
            if turn:
                offers = np.where(offers > worst, offers, -np.inf)
            labels[block] = offers.argmax(axis=1)
        # Only columns that got a proposal can overflow.
        proposed = np.zeros(columns, dtype=bool)
        proposed[labels[waiting]] = True
        asked = np.flatnonzero(proposed[labels])
        merit = similarity[asked, labels[asked]]
        if turn >= DISPLACEMENT_ROUNDS:
            merit[~np.isin(asked, waiting)] = np.inf
        asked = asked[np.lexsort((-merit, labels[asked]))]
        rank = _rank_in_runs(labels[asked])
        room = upper[labels[asked]]
        last = asked[rank == room - 1]
        full = similarity[last, labels[last]]
        worst[labels[last]] = full if turn < DISPLACEMENT_ROUNDS else np.inf
        waiting = np.sort(asked[rank >= room])
        labels[waiting] = -1
        turn += 1
    _fill_up(similarity, labels, lower)
    return labels


def _fill_up(
    similarity: NDArray[np.float32], labels: NDArray[np.intp], lower: NDArray[np.intp]
) -> None:
    counts = np.bincount(labels, minlength=len(lower))
    for column in np.flatnonzero(counts < lower):
        spare = np.maximum(counts - lower, 0)
        donors = np.flatnonzero(spare[labels] > 0)
        order = donors[np.argsort(-similarity[donors, column], kind="stable")]
        by_donor = order[np.argsort(labels[order], kind="stable")]
        allowed = np.zeros(len(labels), dtype=bool)
        allowed[by_donor] = _rank_in_runs(labels[by_donor]) < spare[labels[by_donor]]
        moved = order[allowed[order]][: lower[column] - counts[column]]
        counts -= np.bincount(labels[moved], minlength=len(lower))
        counts[column] += len(moved)
        labels[moved] = column


def _rank_in_runs(values: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return each element's place within its run of equal neighbours."""
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    lengths = np.diff(np.r_[starts, len(values)])
    return np.arange(len(values)) - np.repeat(starts, lengths)
