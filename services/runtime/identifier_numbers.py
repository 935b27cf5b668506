"""Rules for identity numbers and dates of birth, by their check digits or by the words before them.

Each takes a text and yields the spans (start, end) of what it found, without overlaps.
"""

import re
from collections.abc import Iterator

Span = tuple[int, int]

_IBAN = re.compile(r"(?<![^\W_])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_IBAN_REGISTRY = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27"
    " DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28"
    " IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22"
    " MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24"
    " SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBAN_REGISTRY.split()}
"""Characters of an account number by country (SWIFT IBAN registry)."""

_CARD = re.compile(
    r"(?<![\w.-])(?:[0-9]{4}(?:[ -][0-9]{4}){2}[ -][0-9]{1,7}|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5}"
    r"|[0-9]{13,19})(?![\w-]|\.\d)"
)
_ISSUER = re.compile(r"4|5[0-8]|2[2-7]|3[04-9]|6")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![\w-])")
_CPF = re.compile(
    r"(?<![\w.])[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}(?!\w)"
)  # Brazil's, unmistakable

_CUE = (
    r"passport|reisepass|passeport|pasaporte|passaporte|personalausweis(?:nummer)?|identity card"
    r"|(?:national|personal|voter|student|employee|patient|member(?:ship)?|customer|tax(?:payer)?"
    r"|government|military|resident)[ -](?:id(?:entity|entification)?|insurance)|id card"
    r"|driv(?:er['\u2019]?s?|ing) licen[cs]e|licen[cs]e plate|number plate|social security"
    r"|ssn|itin|nino|cpf|cnpj|dni|nie|nir|bsn|pesel|aadhaa?r|nhs|curp|steuer-?id|codice fiscale"
    r"|medical record|mrn|(?:my|his|her|their|your|with) id"
    r"|(?:id|tin|nin|nif|pan|rg|rfc|policy|account|visa|licen[cs]e)"
    r"(?=\W{0,2}(?:number|no\b|num\b|nr\b|card|#))"
)
_CUED_ID = re.compile(
    rf"(?<![^\W_])(?:{_CUE})\b"
    r"(?:[ \u00a0](?:card|number|num|no|nr|nummer|n[ºo°]|id|code|holder)\b){0,2}"
    r"[.:#]?(?:[\s,]?(?:was|is|are|reads?|says)\b)?[\s:#=(]{0,3}"
    r"(?P<id>[A-Za-z0-9]{1,20}(?:[ .\-/](?=[A-Za-z]{0,4}[0-9])[A-Za-z0-9]{1,12}){0,6})(?![^\W_])",
    re.IGNORECASE,
)
_MIN_LENGTH, _MIN_DIGITS = 5, 4  # of what stands behind a cue: a year alone is no identity number

_MONTH = (
    r"(?:jan(?:uary|uar|vier|eiro)?|feb(?:ruary|ruar|rero)?|f[eé]vrier|fevereiro|enero|märz"
    r"|mar(?:ch|s|ço|zo)?|apr(?:il)?|avril|abril|ma[iy]o?|june?|juni|juin|junho|junio|july?|juli"
    r"|juillet|julho|julio|aug(?:ust)?|août|agosto|sept?(?:ember|embre|iembre)?|setembro"
    r"|o[ck]t(?:ober|obre)?|octubre|outubro|nov(?:ember|embre|iembre|embro)?"
    r"|de[cz](?:ember|embro)?|d[eé]cembre|diciembre)"
)
_FULL_YEAR = r"(?:19|20)[0-9]{2}"
_DATE = (
    rf"(?:{_FULL_YEAR}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}}"
    rf"|[0-9]{{1,2}} ?[-/.] ?[0-9]{{1,2}} ?[-/.] ?(?:{_FULL_YEAR}|[0-9]{{2}})"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th|\.|º|er)?[ -](?:of |de )?{_MONTH}\b\.?"
    rf"(?:(?:,| de|-)?[ -]?{_FULL_YEAR})?"
    rf"|{_MONTH}\b\.? [0-9]{{1,2}}(?:st|nd|rd|th)?(?:,? {_FULL_YEAR})?)(?!\w)"
)
_BIRTH = re.compile(
    r"(?<![^\W_])(?:born|birth ?da(?:te|y)|date of birth|d\.?o\.?b|geboren|geburtsdatum|née?"
    r"|naci(?:d[oa]|ó)|nasc(?:id[oa]|eu)|nat[oa]|fecha de nacimiento"
    r"|data de nascimento|date de naissance)\b\.?"
    r"(?:\W{0,2}(?:is|was|on|falls|am|el|em|le|il|the|date|dated|as)\b){0,3}"
    rf"[\s:=(,]{{0,4}}(?:\w{{3,9}}day,? )?(?P<date>{_DATE})",
    re.IGNORECASE,
)

TOKENS = re.compile(r"(?<!\w)\w(?:[.\-/]?\w){3,39}(?!\w)")
"""What may be an identity number written without spaces."""
NUMBERS = re.compile(r"(?<!\w)[+(]{0,2}[0-9](?:[ .\-/()]{0,2}[0-9]){5,17}(?!\w)")
"""What may be a phone number, or an identity number of digits."""
DATES = re.compile(rf"(?<!\w){_DATE}", re.IGNORECASE)
"""Dates of a day, with the year or without."""


def ids(text: str) -> Iterator[Span]:
    """Yield IBANs, payment cards, US social security numbers, and what a cue calls one.

    IBANs need their country's length and a remainder of 1 modulo 97 (ISO 13616), cards an issuer's
    first digits and the Luhn check digit (ISO/IEC 7812-1).
    """
    end = 0
    for start, stop in sorted((*_ibans(text), *_cards(text), *_by_form(text), *_cued(text))):
        if start >= end:
            end = stop
            yield start, stop


def birth_dates(text: str) -> Iterator[Span]:
    """Yield dates, of day and month at least, behind words such as "born on"."""
    for match in _BIRTH.finditer(text):
        yield match.span("date")


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        places = [i for i in range(*match.span()) if text[i].isalnum()]
        length = _IBAN_LENGTHS.get(match[0][:2].upper(), len(places) + 1)
        if length > len(places):
            continue
        number = "".join(text[i] for i in places[:length])
        rearranged = number[4:] + number[:4]
        if int("".join(str(int(character, 36)) for character in rearranged)) % 97 == 1:
            yield match.start(), places[length - 1] + 1


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        digits = [int(character) for character in match[0] if character.isdigit()]
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
        valid = (sum(digits[::-2]) + sum(doubled)) % 10 == 0
        if valid and 13 <= len(digits) <= 19 and _ISSUER.match(match[0]):
            yield match.span()


def _by_form(text: str) -> Iterator[Span]:
    for pattern in (_SSN, _CPF):
        for match in pattern.finditer(text):
            yield match.span()


def _cued(text: str) -> Iterator[Span]:
    for match in _CUED_ID.finditer(text):
        number = match["id"]
        if len(number) >= _MIN_LENGTH and sum(map(str.isdigit, number)) >= _MIN_DIGITS:
            yield match.span("id")
