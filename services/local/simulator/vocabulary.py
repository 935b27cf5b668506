"""Words and sentence patterns that the simulated model speaks with.

Patterns hold slots: `{w}` a content word of the prompt, `{n}` a general noun, `{v}` a general
verb, `{a}` a general adjective. Most slots are `{w}`, so that what is said depends on the prompt.
"""

_STOP_WORDS_TEXT = """
a about above across after again against all almost alone along already also although always
am among an and another any anybody anyone anything are around as ask asked at away back be
became because been before behind being below best better between both but by came can cannot
come could did do does doing done down during each either else enough even ever every few find
first for from further gave get gets give given go goes going gone good got great had has have
having he her here hers herself him himself his how however i if in indeed instead into is it
its itself just keep last least less let like likely list made make makes many may maybe me
might mine more most much must my myself need needs neither never new next no nobody none nor
not nothing now of off often on once one only onto or other others our ours ourselves out over
own per perhaps please put quite rather really said same say see seem seems several she should
since so some someone something sometimes soon still such take than that the their theirs them
themselves then there therefore these they thing things this those though three through thus to
together too toward two under until up upon us use used using very via want wants was way we
well were what when where whether which while who whole whom whose why will with within without
word words would write yes yet you your yours yourself
answer following number numbered question reply respond text
"""
_NO_SIGNS = str.maketrans(dict.fromkeys(".,;:?!'\"{}", " "))
STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())

_NOUNS_TEXT = """
budget calendar checklist colleague deadline detail draft evidence example experiment guide
habit lesson market measure meeting message method morning neighbour note partner pattern plan
practice price problem process project reason record report result risk routine schedule season
signal source standard summary supplier team timeline tool visit week workshop
"""
NOUNS = tuple(_NOUNS_TEXT.split())

_VERBS_TEXT = """
adjust arrange balance check choose combine compare document estimate explain handle improve
introduce manage measure monitor organise prepare present prioritise protect reduce repair
replace review schedule simplify strengthen support test track understand verify
"""
VERBS = tuple(_VERBS_TEXT.split())

_ADJECTIVES_TEXT = """
careful clear common early easy expensive fair fresh gradual honest important local modest
narrow open patient plain practical quiet recent reliable robust shared simple small steady
subtle sudden temporary useful weekly
"""
ADJECTIVES = tuple(_ADJECTIVES_TEXT.split())

STATEMENTS = (
    "I {v} the {w} and the {w} before the {n} begins.",
    "The {w} depends on the {w}, so a {a} {n} comes first.",
    "Today the {w} needs a {a} look at the {w} and the {w}.",
    "First, {v} the {w} with the {w}, then share the {n}.",
    "A {a} {w} makes the {w} easier to follow.",
    "We talked about {w} and {w}, and agreed on a {n} for the {w}.",
    "The {w} is {a}, while the {w} asks for more {w}.",
    "With the {w} in mind, it helps to {v} the {w} every {n}.",
    "My {n} shows that {w} and {w} belong together.",
    "Without the {w}, the {w} would lose its {w}.",
    "Start from the {w}, {v} each {w}, and note the {n}.",
    "The {a} part is the {w}, because the {w} changes the {w}.",
    "I want to {v} the {w} so that the {w} stays {a}.",
    "After the {w}, someone should {v} the {w} and report on {w}.",
    "It is {a} to {v} the {w} when the {w} is near.",
    "The {w} and the {w} point to the same {n}.",
    "Next, I will ask about the {w} and offer a {n} on {w}.",
    "If the {w} fails, {v} the {w} and keep the {w} ready.",
    "People near the {w} care about {w} more than about {w}.",
    "A {n} of {w}, {w} and {w} is ready to be shared.",
    "This is where {w} meets {w}, and the {n} becomes {a}.",
    "The {w} taught me to {v} the {w} with a {a} {n}.",
)

SHORT_STATEMENTS = (
    "{v} the {w} with the {w}.",
    "The {w} concerns the {w}.",
    "{v} the {w} before the {w}.",
    "Share the {w} and the {w}.",
    "The {w} needs {a} {w}.",
    "{v} the {w} for the {n}.",
    "A {a} {n} about {w} and {w}.",
    "Look at the {w} near the {w}.",
)

_DEVELOPMENTS_TEXT = """
accident allergy anniversary apprentice argument auction audition avalanche award bandage
bankruptcy baptism bargain barricade battery beehive bicycle birthday blackout blizzard bonfire
boycott bribe bruise burglary burial buyer cage caravan carnival cartel ceasefire chimney choir
cholera circus coffin collapse collision comet complaint concert contest contract convoy coupon
crack cradle crane crutch curfew cyclone dam debt deed deer defect deposit detour diagnosis
diploma disguise dispute divorce donation donkey dowry drought drum duel earthquake eclipse
election elevator embargo engagement epidemic eviction exam exile expedition explosion export
eyewitness famine fare fax ferry festival fever fiddle fingerprint firework flood foal forgery
fossil foundry fraud frost fugitive funeral furnace garage ghost glove goat grant grave guitar
gymnasium hail harbour heirloom heirs helicopter hernia hive hostage hurricane illness import
impostor inheritance injury inspection insult insurance interview invention invoice jam jury
kennel kidney kitten ladder landlord landslide lantern lawsuit leak lease legacy letterbox lice
licence lighthouse loan lottery lullaby magnet mare marriage mask medal merger microscope migraine
mine miracle mortgage mosquito mould mural mutiny necklace nightmare notary oath obituary offer
orphan outbreak parade parcel pardon parrot passport patent pension petition piano picnic pigeon
pilgrimage pipeline plague plaster poison portrait pregnancy prescription prize prophecy proverb
puncture puppet quarantine quarrel quarry raffle raid railway ransom rebellion recipe referee
refugee regatta rehearsal relic rent rescue reunion reward riddle riot robbery rumour rust
sabotage saddle scaffold scandal scar scholarship sculpture secret sermon shipwreck shortage
siege signature sinkhole siren sketch smuggler snake sparrow spy squirrel stampede statue storm
stowaway strike subsidy surgery swarm tattoo tax telescope tenant tender theft thunder tide
tombstone tornado tournament transplant trap treasure trial tunnel twins ulcer umbrella vaccine
verdict veto vineyard violin virus volcano voucher wager walnut warrant wasp wedding whistle
widow will windmill wolf wound wreck yeast
"""
DEVELOPMENTS = tuple(_DEVELOPMENTS_TEXT.split())

DEVELOPING = (
    "On account of the {w}, I find a {d} beside the {w}, and a {d} comes of it.",
    "The {w} has led to a {d}, so I tell the {w} about the {d}.",
    "I go to see the {w} and return with a {d} and news of a {d}.",
    "Because of the {w} there is a {d} now, and the {w} speaks of a {d}.",
    "Since the {w}, a {d} keeps me busy; the {w} brought the {d} up.",
)
"""Reactions to what concerns a person (`{d}`: a development): where people answer each other,
things happen that were in nobody's plan."""

POLITE_REMARKS = (
    "I nod and go on with the {w} and the {w}.",
    "I listen for a moment, then go back to the {w}.",
    "I say that this is good to hear, and turn to the {w} and the {w}.",
    "I wish them well and carry on with the {w}.",
)
"""Reactions to what is none of a person's business: they say nothing of the matter."""

VERB_OPENINGS = (
    ("How can I", "?"),
    ("What is the best way to", "?"),
    ("How do I", "?"),
    ("Could you show me how to", "?"),
    ("How should a beginner", "?"),
    ("What do I need in order to", "?"),
    ("Help me", "."),
    ("Show me, step by step, how to", "."),
    ("Give me three ways to", "."),
    ("Suggest how our team could", "."),
)

VERB_BODIES = (
    "{v} the {w} when the {w} depends on the {w}",
    "{v} {w} and {w} without losing the {w}",
    "{v} the {w} for a {a} {w}",
    "{v} my {w} so that the {w} supports the {w}",
    "{v} a {a} {w} with {w} in mind",
    "{v} the {w} after the {w} has changed",
)

NOUN_OPENINGS = (
    ("Please explain", "."),
    ("Could you explain", "?"),
    ("Write", "."),
    ("Describe", "."),
    ("Summarise", "."),
    ("Compare", "."),
    ("Draft", "."),
    ("Can you recommend", "?"),
    ("What should I know about", "?"),
    ("Tell me about", "."),
)

NOUN_BODIES = (
    "a {a} {n} on the {w} and the {w} of the {w}",
    "the {w} and the {w} behind a {a} {w}",
    "a {n} about {w} for people who know {w} but not {w}",
    "the {n} between {w}, {w} and {w}",
    "a {a} {w} that takes the {w} and the {w} into account",
    "a {n} that links the {w} to the {w}",
)

CONTEXTS = (
    "My {w} depends on the {w}, and the {w} is {a}.",
    "I already tried to {v} the {w}, and the {w} did not change.",
    "It should respect the {w} and leave room for {w}.",
    "The {w} matters most, then the {w}.",
    "Use the {w} as an example and mention the {w}.",
    "We have {w} and {w}, yet no {w}.",
    "Our {w} ends soon, and the {w} is {a}.",
    "Assume that the {w} works and the {w} fails.",
    "I know {w} well, but {w} is {a} to me.",
    "The {n} is for the {w} next to the {w}.",
)

_SAID: tuple[str, ...] = (
    *STATEMENTS,
    *SHORT_STATEMENTS,
    *DEVELOPING,
    *POLITE_REMARKS,
    *VERB_BODIES,
    *NOUN_BODIES,
)
_SAID += (*CONTEXTS, *(text for opening in (*VERB_OPENINGS, *NOUN_OPENINGS) for text in opening))
OWN_WORDS = frozenset(
    (*NOUNS, *VERBS, *ADJECTIVES, *" ".join(_SAID).lower().translate(_NO_SIGNS).split())
)
"""Words that the simulated model brings along: they say nothing of what it was told."""
