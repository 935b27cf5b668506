"""Who acts, who hears of it, and how many are kept at work?"""

from ops.dashboards.panels import (
    Dashboard,
    Panel,
    Query,
    Row,
    good_below,
    quantiles,
    rate,
    ratio,
    total,
)

_GROUPS = total("matrix_groups")
_RESTING, _PARKED = total("matrix_groups_resting"), total("matrix_groups_parked")
_STEPS = rate("matrix_steps_total")
_ACTIONS = rate("matrix_actions_total")

_PEOPLE = Row(
    "Who is there?",
    (
        Panel(
            "Agents",
            "All people of the groups owned by some replica. It is the number imported; if it is "
            "less, a replica is away or restores: see Pipeline.",
            "none",
            (Query(total("matrix_agents"), "agents"),),
            kind="stat",
            width=6,
        ),
        Panel(
            "Agents who have acted",
            "The share of people who came to their first step. It grows to 100 % while the society "
            "runs. If it stands still, groups rest or are parked: see below.",
            "percentunit",
            (Query(ratio(total("matrix_agents_born"), total("matrix_agents")), "born"),),
            kind="stat",
            width=6,
            maximum=1.0,
        ),
        Panel(
            "Groups",
            "Units of order and of scaling; about one for ten agents. It changes only when people "
            "are imported or join.",
            "none",
            (Query(_GROUPS, "groups"),),
            kind="stat",
            width=6,
        ),
        Panel(
            "Steps per second",
            "Each is a whole group's turn. Above 0 while a dataset wants more. If it is 0: are "
            "groups parked (nothing is wanted), resting (nobody has a reason), or do the models "
            "not answer?",
            "none",
            (Query(_STEPS, "steps/s"),),
            kind="stat",
            width=6,
        ),
        Panel(
            "Active agents and target",
            "The active follow the target within a step or two. If they stay below, there are not "
            "enough groups with something to do; if they stay above, groups finish slowly.",
            "none",
            (
                Query(total("matrix_agents_active"), "active"),
                # Each replica of agent_state knows the same target.
                Query("max(matrix_population_target_agents)", "target"),
            ),
        ),
        Panel(
            "Why the target changed",
            "New targets by reason. After a start it settles, and changes now and then. Many "
            "changes in both directions mean that the model server's load is unsteady: see Models.",
            "none",
            (
                Query(
                    "sum by (reason) (increase(matrix_population_changes_total[5m]))", "{{reason}}"
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Groups active, resting, parked",
            "Active ones have their token on its way. Resting ones wait for something to happen "
            "and cost nothing. Parked ones are held back because nothing is wanted or the target "
            "is reached. All parked while a dataset wants more is wrong: look at the target.",
            "none",
            (
                Query(f"clamp_min({_GROUPS} - {_RESTING} - {_PARKED}, 0)", "active"),
                Query(_RESTING, "resting"),
                Query(_PARKED, "parked"),
            ),
            stacked=True,
        ),
    ),
)

_DOING = Row(
    "What do they do?",
    (
        Panel(
            "Actions per second by kind",
            "A mix of kinds. Only one kind, or actions of nobody, mean that the model does not "
            "keep to the form: see malformed answers on Models.",
            "none",
            (Query(rate("matrix_actions_total", "kind"), "{{kind}}"),),
            stacked=True,
        ),
        Panel(
            "Duration of a step",
            "From a group's token to what its agents did: plans and actions of about ten agents, a "
            "few model calls in a row. If it grows while calls are as fast as ever, calls wait "
            "here for a slot: see queue wait on Models.",
            "s",
            quantiles("matrix_step_seconds"),
            exemplars=True,
        ),
        Panel(
            "Implausible actions",
            "The share of actions that go to nobody. A few per cent at most; more means that the "
            "model is too weak for the role or that the profiles do not fit together.",
            "percentunit",
            (Query(ratio(rate("matrix_actions_implausible_total"), _ACTIONS), "implausible"),),
            thresholds=good_below(0.1, 0.3),
        ),
    ),
)

_TALKING = Row(
    "Who hears of it?",
    (
        Panel(
            "Deliveries per action",
            "How many of the same group are made aware of an action. One to a few: routing "
            "selects. The size of the group: it does not select (communication set to random, or "
            "a model that names everybody). Near 0: nobody talks to anybody.",
            "short",
            (Query(ratio(rate("matrix_deliveries_total"), _ACTIONS), "of the group"),),
        ),
        Panel(
            "Forwards per routed action",
            "How many other groups an action goes on to. Well below 1 is good: nearly all "
            "messages stay inside a group. More floods the society, and steps lag behind.",
            "short",
            (
                Query(
                    ratio(
                        rate("matrix_actions_forwarded_total"), rate("matrix_actions_routed_total")
                    ),
                    "groups",
                ),
            ),
        ),
        Panel(
            "Scenarios per step",
            "What the datasets are made of. Steady above 0; if it falls to 0 while there are "
            "steps, the windows hold nothing new, or extraction fails: see its lag on Pipeline.",
            "short",
            (
                Query(
                    ratio(rate("matrix_scenarios_total"), rate("matrix_steps_total")), "scenarios"
                ),
            ),
        ),
        Panel(
            "Routed and forwarded per second",
            "Actions that were asked about, and the groups they went on to. Both follow the "
            "actions; if routed ones stop before actions do, message_modulation is behind.",
            "none",
            (
                Query(rate("matrix_actions_routed_total"), "routed"),
                Query(rate("matrix_actions_forwarded_total"), "forwarded"),
                Query(rate("matrix_deliveries_total"), "delivered in the group"),
            ),
            width=12,
        ),
        Panel(
            "Groups that went to rest, per hour",
            "Now and then is natural: nobody had a reason to act. If it grows until most groups "
            "rest, the society runs out of things to react to: new people, or a larger target.",
            "none",
            (Query(f"{rate('matrix_rests_total')} * 3600", "rests"),),
            width=12,
        ),
    ),
)

DASHBOARD = Dashboard(
    "society",
    "MATRIX: Society",
    "Who acts, who hears of it, and how many are kept at work?",
    (),
    (_PEOPLE, _DOING, _TALKING),
)
