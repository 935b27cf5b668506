"""Are the datasets filling, at what cost, and what is filtered and why?"""

from ops.dashboards.panels import (
    Dashboard,
    Panel,
    Query,
    Row,
    bad_from,
    good_below,
    good_from,
    quantiles,
    rate,
    ratio,
    total,
)

_D = 'dataset=~"$dataset"'
_WHILE = "15m"
"""Acceptance comes in bursts: what is divided by it is taken over so long."""


def _told(metric: str) -> str:
    # Every replica of instruction_generation tells the same.
    return f"max by (dataset) ({metric}{{{_D}}})"


_ACCEPTED, _REJECTED = "matrix_samples_accepted_total", "matrix_candidates_rejected_total"
_SAMPLES, _SIZE = _told("matrix_dataset_samples"), _told("matrix_dataset_size")
_WANTED = _told("matrix_dataset_wanted")
_ACCEPTING = rate(_ACCEPTED, "dataset", _D, _WHILE)
_ACCEPTING_ALL = rate(_ACCEPTED, "", _D, _WHILE)
_JUDGED = (
    f"sum by (dataset) (rate({_ACCEPTED}{{{_D}}}[{_WHILE}]) or rate({_REJECTED}{{{_D}}}[{_WHILE}]))"
)
_NONE_ACCEPTED = f"0 * {_JUDGED}"

_FILLING = Row(
    "Are the datasets filling?",
    (
        Panel(
            "Datasets that want more",
            "Orders that are neither filled, paused nor deleted. If it is not what you expect, "
            "`matrix datasets list` says how each order stands.",
            "none",
            (Query(f"sum({_WANTED})", "wanted"),),
            kind="stat",
            width=6,
        ),
        Panel(
            "Samples per hour",
            "Accepted samples of the datasets chosen. Above 0 while a dataset wants more. If it is "
            "0: look at acceptance below, then at Models (do they answer?), then at Society (are "
            "there steps and scenarios?).",
            "none",
            (Query(f"{_ACCEPTING_ALL} * 3600", "per hour"),),
            kind="stat",
            width=6,
            no_value="none yet",
        ),
        Panel(
            "Time to completion",
            "What is missing, at the pace of the last 15 minutes; too much until these end. It "
            "shrinks as fast as time does. A dataset without a value got no sample for 15 "
            "minutes, or only its first.",
            "s",
            (Query(f"clamp_min({_SIZE} - {_SAMPLES}, 0) / ({_ACCEPTING} > 0)", "{{dataset}}"),),
            kind="stat",
            width=6,
            no_value="no estimate",
        ),
        Panel(
            "Age of the newest sample",
            "Of datasets that want more. Seconds to minutes is good; if it grows without end the "
            "dataset has stalled: look where the line stops, at instructions, candidates and "
            "rejections below.",
            "s",
            (
                Query(
                    f"time() - {_told('matrix_dataset_newest_sample_timestamp_seconds')} "
                    f"and {_WANTED} > 0",
                    "{{dataset}}",
                ),
            ),
            kind="stat",
            width=6,
            thresholds=good_below(600, 1800),
            no_value="nothing is wanted",
        ),
        Panel(
            "Progress",
            "Accepted samples against the size of the order. It grows to 100 %. A dataset that "
            "does not grow while others do may have a rare stratum: see the reasons below.",
            "percentunit",
            (Query(f"{_SAMPLES} / clamp_min({_SIZE}, 1)", "{{dataset}}"),),
            kind="bars",
            maximum=1.0,
        ),
        Panel(
            "Samples and sizes",
            "A straight line from 0 to the size. Where it bends, something upstream slowed down "
            "then: look at the same time on Models and Society.",
            "none",
            (Query(_SAMPLES, "{{dataset}}"), Query(_SIZE, "size of {{dataset}}")),
        ),
        Panel(
            "Samples per hour by dataset",
            "All datasets that want more get a share. One at 0 beside others that grow is short "
            "of fitting scenarios, or its candidates are all rejected.",
            "none",
            (Query(f"{rate(_ACCEPTED, 'dataset', _D)} * 3600", "{{dataset}}"),),
        ),
    ),
)

_FILTERED = Row(
    "What is filtered, and why?",
    (
        Panel(
            "Acceptance rate",
            "Accepted among judged candidates of the last 15 minutes. What is normal depends on "
            "kind and filters; know yours, and look at the reasons when it falls. 0 means that a "
            "filter refuses everything: `matrix datasets report` shows examples.",
            "percentunit",
            (
                Query(
                    ratio(f"({_ACCEPTING} or {_NONE_ACCEPTED})", _JUDGED),
                    "{{dataset}}",
                ),
            ),
            thresholds=good_from(0.2, 0.05),
            maximum=1.0,
        ),
        Panel(
            "Rejected per hour by reason",
            "A mix that stays the same is good. A reason that grows names the filter and so the "
            "cause: near duplicates mean that the society repeats itself, malformed answers that "
            "the model does not keep to the form, low rewards that its answers are poor.",
            "none",
            (Query(f"{rate(_REJECTED, 'reason', _D)} * 3600", "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Rejected in the last hour",
            "The reasons by their number; the first is where an improvement pays most.",
            "none",
            (
                Query(
                    f"sort_desc(round(sum by (reason) (increase({_REJECTED}{{{_D}}}[1h]))))",
                    "{{reason}}",
                ),
            ),
            kind="bars",
        ),
        Panel(
            "Candidates per hour",
            "Instructions made for each dataset. If candidates come and no samples, look at the "
            "reasons; if none come, at the scenarios on Society and at what waits, right here.",
            "none",
            (
                Query(
                    f"{rate('matrix_instructions_total', 'dataset', _D)} * 3600",
                    "{{dataset}}",
                ),
            ),
        ),
        Panel(
            "Candidates waiting and in work",
            "Some in work and a few waiting: the model is the limit, as it should be. Many waiting "
            "and none in work: the models do not answer. None of either: there are no scenarios.",
            "none",
            (
                Query(total("matrix_claims_waiting"), "waiting"),
                Query(total("matrix_claims_in_work"), "in work"),
            ),
        ),
        Panel(
            "Accepted per hour by kind",
            "Each kind that is ordered has its share. A kind that stops alone has a cause of its "
            "own, such as a missing sandbox for code.",
            "none",
            (Query(f"{rate(_ACCEPTED, 'kind', _D)} * 3600", "{{kind}}"),),
            stacked=True,
        ),
    ),
)

_TOKENS = "matrix_judged_tokens_total"
_COST = Row(
    "At what cost?",
    (
        Panel(
            "Tokens per accepted sample",
            "What candidates cost, the rejected ones too, over the samples that came of it. It "
            "is steady when prompts and acceptance are. If it grows, acceptance fell or answers "
            "got longer; the society's own calls are not in it.",
            "short",
            (
                Query(
                    f"{rate(_TOKENS, 'dataset, type', _D, _WHILE)} "
                    f"/ on (dataset) group_left () ({_ACCEPTING} > 0)",
                    "{{dataset}}, {{type}}",
                ),
            ),
        ),
        Panel(
            "Tokens per second of judged candidates",
            "Where the tokens of the filtering line go. A dataset that takes most of them and "
            "gets few samples is the one to change.",
            "short",
            (Query(rate(_TOKENS, "dataset, type", _D), "{{dataset}}, {{type}}"),),
            stacked=True,
        ),
        Panel(
            "Cost per accepted sample",
            "All model calls, those of the society too, by the prices in the settings and in "
            "their currency, over all accepted samples. Without prices there is nothing to show. "
            "If it grows, compare tokens per accepted sample with what the society spends.",
            "none",
            (
                Query(
                    ratio(
                        rate("matrix_model_cost_total", over=_WHILE), rate(_ACCEPTED, over=_WHILE)
                    ),
                    "cost",
                ),
            ),
            no_value="no prices are set",
        ),
    ),
)

_FRESH = Row(
    "How fresh are the samples?",
    (
        Panel(
            "From instruction to committed row",
            "Whoever reads the table sees a sample after so long. Below a few minutes is good. If "
            "judging is fast and this is slow, look at commits on Pipeline.",
            "s",
            quantiles("matrix_sample_freshness_seconds"),
            thresholds=bad_from(600),
            exemplars=True,
        ),
        Panel(
            "From instruction to verdict",
            "Several answers are made and judged in it, so that it is a few model calls long. If "
            "it is much more, candidates wait: see queue wait on Models and lag on Pipeline.",
            "s",
            quantiles("matrix_judging_seconds"),
            exemplars=True,
        ),
        Panel(
            "Rows per hour",
            "Follows the accepted samples within seconds. If samples are accepted and no rows "
            "come, the store is away or refuses: see commits on Pipeline.",
            "none",
            (
                Query(
                    f"{rate('matrix_rows_written_total', 'dataset', _D)} * 3600",
                    "{{dataset}}",
                ),
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    "production",
    "MATRIX: Production",
    "Are the datasets filling, at what cost, and what is filtered and why?",
    ("dataset",),
    (_FILLING, _FILTERED, _COST, _FRESH),
)
