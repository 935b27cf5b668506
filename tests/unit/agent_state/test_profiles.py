"""A profile as a value: what is taken in, and how it loses its identity by rule."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agent_state.profiles import (
    Profile,
    ProfileError,
    anonymise_by_rule,
    leaked,
    parse_profile,
    pseudonym,
)

ANA = {"name": "Ana Lima", "description": "Bakes bread."}

PERSON = Profile(
    profile_id="42",
    name="Dora Quiroga-Méndez",
    description=(
        "Dr. Dora Quiroga-Mendez (dora.qm@example.org, +34 612 345 678) was born on 3 May 1981 and "
        "lives at 12 Alder Lane. QUIROGA keeps bees with Mr. Pérez; see https://example.org/dora."
    ),
    actions=("Mailed dora.qm@example.org to herself.", "Fed the bees."),
    headline="Beekeeper @dora_bees, passport no. XK1234567",
)
SECRETS = (
    "Dora Quiroga Mendez Méndez Pérez dora.qm@example.org 612 345 678 1981 Alder example.org/dora "
    "dora_bees XK1234567"
).split()


def test_line_breaks_and_what_nobody_sees_leave_the_text_and_accents_are_composed() -> None:
    parsed = parse_profile(
        {
            "name": "Jose\u0301\u202e  No\u00adwa\u200bk",
            "description": "\ufeffBakes\r\n\tbread.\U000e0049\U000e0067",
            "headline": "نان‌پز",  # the zero-width non-joiner is spelling
        }
    )

    assert parsed.name == "José Nowak"
    assert parsed.description == "Bakes bread."
    assert parsed.headline == "نان‌پز"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "A\x1bna"),
        ("name", "A\x85na"),
        ("description", "a\0b"),
        ("headline", "\ud800"),
        ("id", "\x7f"),
        ("actions", ["a", "b\x08"]),
    ],
)
def test_control_characters_are_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(ProfileError, match=r"U\+[0-9A-F]{4}") as refused:
        parse_profile(ANA | {field: value})
    assert refused.value.field == ("actions[1]" if field == "actions" else field)


JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.binary()
TEXTS = st.text() | JUNK


@given(
    st.fixed_dictionaries(
        {"name": TEXTS, "bio": TEXTS},
        optional={"id": TEXTS, "title": TEXTS, "synthetic": TEXTS, "history": st.lists(TEXTS)},
    )
)
def test_any_fields_make_a_clean_profile_or_an_error_that_names_the_field(
    fields: dict[str, object],
) -> None:
    made = parsed_or_error(fields)

    if isinstance(made, ProfileError):
        assert made.field.split("[")[0] in {"name", "description", "id", "actions", "headline"}
    else:
        texts = [made.name, made.description, *made.actions]
        assert all(texts)
        assert all(text == " ".join(text.split()) for text in [*texts, made.headline])


def parsed_or_error(fields: dict[str, object]) -> Profile | ProfileError:
    try:
        return parse_profile(fields)
    except ProfileError as error:
        return error


@pytest.mark.parametrize(
    ("cell", "actions"),
    [
        ("Sold a loaf. | Lit the oven.", ("Sold a loaf.", "Lit the oven.")),
        ("Sold a loaf.\nLit | the oven.\n", ("Sold a loaf.", "Lit", "the oven.")),
        ('["Sold a | loaf.", "Lit it."]', ("Sold a | loaf.", "Lit it.")),
        ("[sic] Sold a loaf.", ("[sic] Sold a loaf.",)),
        ("", ()),
        (None, ()),
    ],
)
def test_actions_may_come_in_one_cell(cell: str | None, actions: tuple[str, ...]) -> None:
    assert parse_profile(ANA | {"actions": cell}).actions == actions


@pytest.mark.parametrize("value", [True, "true", "TRUE ", "1", 1, "yes"])
def test_a_profile_says_that_it_is_synthetic(value: object) -> None:
    assert parse_profile(ANA | {"synthetic": value}).synthetic


@pytest.mark.parametrize("value", [None, False, "", "no", "0", 0, "maybe", [True], {"a": 1}])
def test_whatever_else_stands_there_the_person_counts_as_real(value: object) -> None:
    assert not parse_profile(ANA | {"synthetic": value}).synthetic


def test_fields_have_synonyms_and_the_first_that_holds_something_counts() -> None:
    parsed = parse_profile(
        {"profile_id": 7, "name": "Ana", "description": None, "persona": "Bakes.", "title": "Baker"}
    )

    assert parsed == Profile("7", "Ana", "Bakes.", headline="Baker")


def test_no_identifier_that_rules_can_find_is_left_of_a_real_person() -> None:
    cleaned, identifiers = anonymise_by_rule(PERSON, "Bela K.")
    text = " ".join([cleaned.name, cleaned.description, cleaned.headline, *cleaned.actions])

    assert cleaned.name == "Bela K."
    assert [secret for secret in SECRETS if secret.casefold() in text.casefold()] == []
    assert {identifier.kind for identifier in identifiers} == {
        *("name", "titled name", "e-mail", "phone", "birth date", "address", "url", "handle", "id")
    }
    assert cleaned.actions[1] == "Fed the bees."
    assert "keeps bees" in cleaned.description
    assert leaked(identifiers, text) == []


def test_a_synthetic_person_keeps_everything() -> None:
    synthetic = replace(PERSON, synthetic=True)

    assert anonymise_by_rule(synthetic, "Bela K.") == (synthetic, ())


@pytest.mark.parametrize(
    "rewrite",
    [
        "A woman called DORA keeps bees.",
        "She is a Mendez by marriage.",
        "She answers at 0034-612-345-678.",
        "Write to dora.qm (at) example dot org.",
        "Her page is EXAMPLE.org/dora",
        "She keeps bees with Pérez.",
    ],
)
def test_an_identifier_is_recognised_in_a_rewrite_in_spite_of_its_spelling(rewrite: str) -> None:
    _, identifiers = anonymise_by_rule(PERSON, "Bela K.")

    assert leaked(identifiers, rewrite)
    assert not leaked(identifiers, "Bela K. keeps bees with a friend and sells honey at 12.")


def test_a_name_is_found_even_if_a_soft_hyphen_parts_it() -> None:
    profile = parse_profile({"name": "Jan Nowak", "description": "Herr No\u00adwak bakes."})

    assert "owak" not in anonymise_by_rule(profile, "Bela K.")[0].description


def test_a_pseudonym_is_the_same_every_time_and_seldom_shared() -> None:
    names = [pseudonym(f"agent-{number}", PERSON) for number in range(500)]

    assert names == [pseudonym(f"agent-{number}", PERSON) for number in range(500)]
    assert len(set(names)) > 420


@given(st.integers(0, 10**9), st.sampled_from("Ada Emil Mina Tea Rosa Leo Kim Zola".split()))
def test_nobody_goes_by_a_name_that_stands_in_the_profile(number: int, name: str) -> None:
    agent_id = str(number)
    own = pseudonym(agent_id, PERSON).split()[0]
    profile = Profile("1", f"{own} {name}", f"Works for Dr. {name} and drinks {name.lower()}.")
    assumed = pseudonym(agent_id, profile)
    cleaned, identifiers = anonymise_by_rule(profile, assumed)

    assert assumed.split()[0] not in {own, name}
    assert leaked(identifiers, f"{cleaned.name} {cleaned.description}") == []
