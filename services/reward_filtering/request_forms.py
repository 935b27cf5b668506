"""The forms in which people ask an assistant for something.

Word lists and patterns rather than a model: cheap, and the same for every run. They are made for
the short, often clumsy texts of small models, mostly in English; other languages are known by
their question marks, their words for "please", and a few verbs. The labelled texts in
tests/data/request_examples.jsonl measure them.
"""

import re


def word_set(listed: str) -> frozenset[str]:
    """Return the words of a list that is separated by white space."""
    return frozenset(listed.split())


QUOTED = re.compile(r"\"[^\"]*\"|\u201c[^\u201c\u201d]*\u201d|\u00ab[^\u00ab\u00bb]*\u00bb")
"""What stands in double quotes: somebody's words, not the writer's."""

_SENTENCE = re.compile(
    # A full stop does not end a sentence after a number of a list or an abbreviation. Counts are
    # bounded so that no text takes quadratic time, and a sign is asked for before what it follows.
    r"[^\n]*?(?:(?=[.!?\u2026\u037e])(?<!\b\d)(?<!\b\d\d)(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bMrs)(?<!\be\.g)(?<!\bi\.e)"
    r"[.!?\u2026\u037e]{1,5}[\"')\]\u201d\u00bb*]{0,4}(?=\s|$)|[\u3002\uff01\uff1f\u061f]+|\n|$)"
)

VERBS = word_set(
    """act add advise analyse analyze answer argue arrange assess assist assume brainstorm break
    build calculate categorise categorize change choose clarify classify code combine come comment
    compare compile complete compose compute conduct consider construct contrast convert convince
    correct count craft create critique debate debug decide define demonstrate derive describe
    design detail detect determine develop devise diagnose differentiate discuss distinguish draft
    draw edit elaborate enumerate estimate evaluate examine expand explain explore express
    extract figure fill find fix forecast format formulate generate give guess guide help highlight
    identify illustrate imagine implement improve infer interpret introduce investigate judge
    justify label let list make map match measure model modify name narrate number offer optimise
    optimize order organise organize outline paraphrase pick plan predict prepare present pretend
    prioritise prioritize produce program proofread propose prove provide rank rate rearrange
    recommend refactor rephrase report research respond restate review revise rewrite role-play
    roleplay schedule select share shorten show simplify simulate sketch solve sort specify state
    structure study suggest sum summarise summarize survey teach tell test trace transform
    translate verify write
    escribe explica dame haz traduce resume escreva explique traduza crie liste fa\u00e7a
    \u00e9cris \u00e9crivez expliquez donne donnez r\u00e9dige r\u00e9digez traduis traduisez aide
    aidez schreibe schreib erkl\u00e4re erkl\u00e4r gib nenne \u00fcbersetze scrivi spiega
    traduci"""
)
"""With which requests start; those that advice starts with (use, try, avoid, take) are not here."""

# Verbs that are as often nouns ("Help arrived", "Plan of the day"): no verb of their own follows.
_NOUNS = word_set(
    """act answer change code comment count debate design detail draft estimate figure format
    guess guide help label list map match measure model name number offer order outline plan
    present program rank rate report research review schedule share show sketch sort state
    structure study survey test trace"""
)
# Verbs that advice starts with as well ("Use fresh yeast"): requests name what they are about.
_ADVISING = word_set("apply check perform put read remove replace start take turn use")
_GIVEN = re.compile(
    r"[^\n]*(?:\b(?:following|this|these|my|me|below|above|role|given|into)\b|:)", re.IGNORECASE
)
_NOUN_FOLLOWER = re.compile(
    r"(?:[a-z0-9] )?(?:is|was|are|were|has|had|have|will|would|can|could|came|went|of|arrived|ended"
    r"|started|continued|followed|failed|worked|began|made|took|seems|shows|says|helps)\b",
    re.IGNORECASE,
)
_FIRST_WORD = re.compile(r"([\w-]+)(?:[\s,:]+([^\n]*)|[.!]*$)")

_OPENING = re.compile(
    r"(?:[\s*_>#\"'\u201c\u00ab\u00bf\u00a1]+"
    r"|(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings|thanks|thank you)\b"
    r"[^,.!?:\n]{0,40}[,.!?:\u2013-]+"
    r"|(?:assistant|ai|chatbot|please|kindly|just|now|then|first|second|next|also|so|ok|okay|and|or"
    r"|but|finally|lastly|additionally|well|alright|you are to|your (?:task|job) is to|let's"
    r"|\w+ly)\b[\s,:]*"
    r"|(?:as|for|in|on|at|using|with|without|given|based on|if|when|while|assuming|considering|from"
    r"|after|before|to|by|because|since|suppose|under|within|during|following)\b"
    r"[^,.?!\n]{1,160},\s*)",
    re.IGNORECASE,
)

_MARKED_QUESTION = re.compile(r"[?\uff1f\u061f\u037e][\s\"')\]\u201d\u00bb*_]*$")
_UNMARKED_QUESTION = re.compile(
    r"(?:how (?:do|does|did|can|could|should|would|is|are|to|much|many|long|often|far)"
    r"|wh(?:at|y|en|ere|o) (?:do|does|did|can|could|should|would|is|are)\b(?!.* is )"
    r"|which (?:\w+ )?(?:do|does|can|should|would|are)"
    r"|(?:can|could|will|would) you|(?:can|could|should|may|do) (?:i|we)|is (?:it|there)|are there"
    r"|any (?:tips|advice|ideas?|suggestions?|thoughts|help|recommendations?))\b",
    re.IGNORECASE,
)

# What one asks an assistant for, and what one wants to be able to do.
_WANTED = (
    r"(?:help|advice|assistance|guidance|tips|ideas?|information|info|recommendations?|suggestions?"
    r"|explanations?|summary|plan|list|recipe|script|letter|e-?mail|template|program|function|poem"
    r"|story|speech|guide|schedule|checklist|report|essay|outline|draft|description|translation"
    r"|budget|breakdown|strategy|strategies|ways?|solution|response|answer|examples?|overview"
    r"|message|post|article|code|formula|feedback|instructions|steps|resources|proposal|itinerary"
    r"|lesson|opinion|input|analysis|comparison|title|slogan|caption|review|quiz|questions?)\b"
)
_LEARN = (
    r"(?:know|understand|learn|find out|figure out|write|create|prepare|calculate|decide|plan"
    r"|explain|build|design|draft|choose|compare|convert|solve|ask|request)\b"
)
_NEED = re.compile(
    rf"\b(?:i|we)(?:(?: really| also| just| now| still| urgently| currently)?"
    rf" (?:need|want|require|would like|would love|seek|(?:am|are) (?:looking for|seeking))"
    rf"|['\u2019](?:d like|d love|m looking for|re looking for|m seeking|m after))"
    rf"(?: your?\b| (?:[\w'-]+ ){{0,4}}{_WANTED}| to {_LEARN})"
    r"|\b(?:i|we)(?: would|['\u2019]d) (?:really )?(?:appreciate|be (?:grateful|glad|thankful))\b"
    r"|\bi(?: am|['\u2019]m| was)? (?:curious|wondering|wonder) "
    r"(?:about|how|what|why|whether|if|which|when|where)\b"
    r"|\b(?:hope|hoping) (?:that )?you (?:can|could|might)\b"
    r"|\b(?:my question is|let me know (?:how|what|which))\b"
    r"|\b(?:can|could|would|will) (?:you|u|some(?:one|body)|any(?:one|body))\b"
    r"|\bi (?:don['\u2019]t|do not) (?:know|understand) (?:how|what|where|which|why)\b"
    r"|, (?:what|how|where|which) (?:should|can|do|could) (?:i|we)\b"
    rf"|^(?:looking for|need|seeking) (?:[\w'-]+ ){{0,4}}{_WANTED}"
    r"|\bplease\b|\bpor favor\b|s['\u2019]il (?:vous|te) pla\u00eet|\bbitte\b|\bper favore\b"
    r"|\b(?:necesito|preciso de|ho bisogno)\b|j['\u2019]ai besoin|\bich brauche\b"
    # Russian, Chinese (both scripts), Japanese, Korean, Arabic, Hindi: please.
    r"|\u043f\u043e\u0436\u0430\u043b\u0443\u0439\u0441\u0442\u0430|\u8bf7|\u8acb"
    r"|\u304f\u3060\u3055\u3044|\u6559\u3048\u3066|\uc8fc\uc138\uc694"
    r"|\u0645\u0646 \u0641\u0636\u0644\u0643|\u0915\u0943\u092a\u092f\u093e",
    re.IGNORECASE,
)

_ANSWER = re.compile(
    r"(?:sure|certainly|of course|absolutely|great question|to answer your|the answer is)\b"
    r"|here(?: are| is|['\u2019]s)\b|(?:have you ever|did you know|once upon a time)\b"
    r"|(?:\d+[.)]|[-\u2022*] )",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"(?:would you like|do you (?:want|need) (?:me|any|more)|shall i|how about i|is there anything"
    r"|(?:please )?(?:let me know if|note|don['\u2019]t hesitate|feel free)|i hope this)\b",
    re.IGNORECASE,
)
# Small models asked to write as a user often greet one instead.
_HOST = re.compile(
    r"\b(?:how (?:can|may) i (?:help|assist|serve|be of)|what brings you"
    r"|what can i (?:\w+ )?(?:help|assist|do for|ask|offer)"
    r"|what(?:['\u2019]s| is) (?:on your|your (?:\w+ )?(?:name|question|problem|situation))"
    r"|i(?:['\u2019]m| am) here to (?:help|assist)|happy to (?:help|assist))\b",
    re.IGNORECASE,
)
# What follows a question or an order that a story tells of, or that the writer answers.
_NARRATED = re.compile(
    r"(?:(?:asked|said|thought|whispered|cried|replied|wondered)\b"
    r"|(?:she|he|they|nobody|no one|everyone|everybody)\s+(?:\w+ly )?(?:thought|wondered|said|asked"
    r"|knew|had no|did not|whispered|replied|sighed|shook|looked|smiled|decided|could not|was not"
    r"|(?:did|could|was)n['\u2019]t)"
    r"|the answer|it all|in this article|let['\u2019]s (?:find out|explore|dive))",
    re.IGNORECASE,
)


def _sentences(text: str) -> list[str]:
    return [found for match in _SENTENCE.findall(text) if (found := match.strip())]


def _is_imperative(sentence: str) -> bool:
    """Tell whether a sentence starts with a verb of asking, after what may come before it."""
    for _ in range(6):
        match = _FIRST_WORD.match(sentence)
        verb = match[1].casefold() if match else ""
        following = (match[2] or "") if match else ""
        if verb in _ADVISING:
            return _GIVEN.match(following) is not None
        if verb in VERBS:
            is_noun = verb in _NOUNS and _NOUN_FOLLOWER.match(following)
            return not is_noun and not (verb == "make" and following.startswith("sure"))
        opening = _OPENING.match(sentence)
        if not opening:
            return False
        sentence = sentence[opening.end() :]
    return False


def is_request(text: str) -> bool:
    """Tell whether a text asks an assistant for something.

    It does when one of its sentences is a question that no narration follows, an order that
    starts with one of a list of verbs, or a need stated to the reader. What stands in double
    quotes is not looked at. Answers, lists and stories ask only if their last sentence does, and
    an assistant's offer of help is no request.
    """
    bare = text.strip().lstrip("*_# ")
    if QUOTED.fullmatch(bare):
        bare = bare[1:-1].strip()
    sentences = _sentences(QUOTED.sub(" quote ", bare))
    if any(_HOST.search(sentence) for sentence in sentences[-2:]):
        return False
    is_answer = _ANSWER.match(bare) is not None
    for sentence, following in zip(sentences, [*sentences, ""][1:], strict=True):
        if (is_answer and following) or _OFFER.match(sentence) or _NARRATED.match(following):
            continue
        if _MARKED_QUESTION.search(sentence) or _UNMARKED_QUESTION.match(sentence):
            return True
        if _NEED.search(sentence) or (not is_answer and _is_imperative(sentence)):
            return True
    return False
