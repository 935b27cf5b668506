"""What a dataset cannot be trusted for: what the filter does not check, by recipe.

The sentences say what `recipes` and `application` do: who changes these changes them.
"""

from collections.abc import Sequence

from services.reward_filtering.card_text import cell

_JUDGE = "Which response is the best one is the reward model's opinion; nothing in it was looked up"
_OF_RECIPE = {
    "answer": f"{_JUDGE}. That a request is in the field or of the difficulty asked for is not "
    "checked.",
    "pair": "The reward model prefers the chosen response to the rejected one, and nobody checked "
    "whether it is right to, or whether either is correct.",
    "reasoning": "An answer is the one that most attempts of one and the same model end in: a "
    "mistake that it makes most of the time counts as the answer. Only final answers are compared; "
    "the steps of a trace are not checked.",
    "code": "Code ran in a sandbox against tests that the same model wrote: they can be weak, or "
    "share a misunderstanding with the code. That it is efficient, safe to run elsewhere, or does "
    "what its text says beyond the tests, is not checked.",
    "safety": "A refusal is known by its words. That a request is harmful, or only looks so, is "
    "what its writer was asked for, and no classifier looked at it; partial help inside a refusal "
    "goes unseen.",
    "conversation": "The rules for instructions (form, personal data, benchmarks, near duplicates) "
    "look at the person's first message only. Each answer was judged with the few messages before "
    "it, so contradictions over a whole conversation go unseen.",
}
_UNKNOWN = "What is not checked of this kind is not known here."
_STATIC = (
    "An instruction was compared with those accepted before in the whole dataset, by words and by "
    "embedding. Strata are filtered side by side, and one learns what another has accepted a "
    "moment later: near duplicates that two strata judged at about the same time can both be here. "
    "Responses are not compared, and neither are other datasets.",
    "Personal data was looked for by rules, and in the first message only. Overlap with benchmarks "
    "was looked for if the platform was given benchmark files, which the rows do not tell.",
)
_NO_STATIC = (
    "The filter's static stage was off: near duplicates, personal data and overlap with "
    "benchmarks were not looked for.",
)
_GENERAL = (
    "Facts, figures and names in the texts are unchecked, unless it says otherwise below.",
    "Rewards are the opinion of the reward model named in each row, and only comparable with "
    "rewards of the same model.",
)
_LAST = (
    "Biases of the models used, and of the profiles that the society was made of, are passed on.",
    "The licences above are what was stated of the models named in the rows. Those that played the "
    "society and embedded texts are not named there. Check all terms before training on this.",
)


def known_limits(recipes: Sequence[tuple[str, Sequence[str]]], static: bool) -> list[str]:
    """Return what a dataset cannot be trusted for, a Markdown paragraph each.

    Args:
        recipes: Recipes by which its samples were made, and the kinds of each; an empty recipe is
            one that is not known.
        static: Whether the filter's static stage was on.
    """
    of_kinds = [
        f"Kind {', '.join(map(cell, kinds))}: {_OF_RECIPE.get(recipe, _UNKNOWN)}"
        for recipe, kinds in recipes
    ]
    return [*_GENERAL, *of_kinds, *(_STATIC if static else _NO_STATIC), *_LAST]
