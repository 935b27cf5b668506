"""Rules for links, e-mail addresses, handles, network addresses and street addresses.

Each takes a text and yields the spans (start, end) of what it found, without overlaps. Quantifiers
are bounded or possessive: no text makes a rule look back and forth.
"""

import ipaddress
import re
from collections.abc import Iterator

Span = tuple[int, int]

_ZONES = (
    "com|org|net|edu|gov|info|biz|io|dev|app|me|co|ai|eu|de|fr|uk|es|it|nl|br|in|jp|ru|ch|pl|be"
)
_HOST = (
    r"(?<![\w@.+%-])(?<!at[)\]}])(?<!at[)\]}] )(?!(?:asp|vb|ado|ml)\.net)(?:[a-z0-9-]{1,63}\.){1,4}"
)
_REST = r"[^\s<>\"\[\]{}|\0]"
_URL = re.compile(
    rf"(?<![\w@])(?:(?:https?|ftp|wss?)://|www\.){_REST}++"
    rf"|{_HOST}(?:{_ZONES})/{_REST}++"
    rf"|{_HOST}(?:com|org|net|edu|gov|info|biz|(?:co|com|ac|org)\.[a-z]{{2}})(?![\w@-]|\.\w)",
    re.IGNORECASE,
)
_MAY_BE_URL = re.compile(r"://|\.\S")
"""What every link has, and hardly any sentence: looked for first, it is ten times as fast."""
_AFTER_URL = ".,;:!?)'\"»”\u2019*_"

_AT = re.compile(r"[@\uff20]|\s?[\[({]\s?at\s?[\])}]\s?| at ", re.IGNORECASE)
_LOCAL_LENGTH = 64  # RFC 5321, section 4.5.3.1.1
_LOCAL_REVERSED = re.compile(r"[\w+%-][\w.+%'&-]{0,63}")
_SPELLED_LOCAL_REVERSED = re.compile(r"[\w+%-](?:[\w.+%'&-]| tod (?=\w)){0,63}", re.IGNORECASE)
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.){{1,8}}(?:[^\W\d_]{{2,24}}|xn--[a-z0-9]{{2,20}})(?!\w)")
_SPELLED_DOMAIN = re.compile(
    rf"(?:{_LABEL}(?:\s?[\[({{]\s?dot\s?[\])}}]\s?| dot |\.)){{1,4}}(?:{_ZONES})(?!\w)",
    re.IGNORECASE,
)

_HANDLE = re.compile(r"[@\uff20][^\W\d](?:[\w.-]{0,38}\w)|(?<![\w/])u/[\w-]{3,20}(?![\w/])")
_CODE_TAGS = (
    "@author @charset @classmethod @deprecated @import @keyframes @media @override @param"
    " @property @return @returns @see @since @staticmethod @supports @throws"
)
_AT_RULES_AND_TAGS = frozenset(_CODE_TAGS.split())
_DECORATOR = re.compile(
    r"@[\w.]+(?:\([^\n]{0,200}\))?[ \t]{0,20}\n\s{0,40}"
    r"(?:@|async def |def |class |public |private |protected )"
)

_IPV4 = re.compile(
    r"(?<![\w.])(?<![Vv]ersion )(?<![Rr]elease )(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w|\.\d)"
)
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)

_WORD = r"(?:[^\W\d_a-zß-öø-ÿ][\w'\u2019.-]{0,30}|\d{1,3}(?:st|nd|rd|th))"
_SMALL = r"(?:(?:de|du|des|da|do|dos|das|del|della|dei|la|las|le|los|les|al) |[dl]['\u2019]){0,3}"
_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Square|Sq|Way|Place"
    r"|Pl|Terrace|Close|Crescent|Parkway|Pkwy|Highway|Hwy|Row|Gardens|Grove|Hill|Mews|Quay|Walk)"
)
_NUMBER_FIRST = (
    r"(?<![\w.,$€£-])\d{1,5}[A-Za-z]?(?:-\d{1,4})?,? (?:[NSEW]\.? )?"
    rf"(?:{_WORD} ){{1,4}}{_STREET}\b"
    r"(?:\.? [NS][EW]?\b|\.?,? (?:Apt|Apartment|Flat|Suite|Unit|Ste)\b\.? ?#?\w{1,5})?"
)
_FRENCH = (
    r"(?<![\w.,-])\d{1,4}(?: bis| ter)?,? (?:rue|avenue|av\.|boulevard|bd|place|chemin|allée|quai"
    rf"|impasse|cours) {_SMALL}{_WORD}(?:[ -]{_SMALL}{_WORD}){{0,3}}"
)
_NUMBER_LAST = (
    r"(?<!\w)(?:[Cc]alle|C/|[Vv]ia|[Vv]iale|[Pp]iazza|[Cc]orso|[Rr]ua|[Aa]venida|Av\.|Avda\.|[Pp]laza"
    r"|[Pp]raça|[Tt]ravessa|[Uu]lica|[Uu]l\.|[Pp]aseo|[Cc]arrer|Jalan|Jl\.|Rue) ?"
    rf"{_SMALL}{_WORD}(?: {_SMALL}{_WORD}){{0,3}},? (?:n[ºo°]?\.? ?|no\. ?|# ?)?\d{{1,5}}(?!\w)"
)
_COMPOUND = (
    r"(?<!\w)\w[\w-]{1,40}(?:straße|strasse|str\.|allee|weg|platz|gasse|damm|ufer|gracht|straat|laan"
    r"|gatan|vägen|vej|gade|veien) \d{1,4} ?[a-z]?(?!\w)"
)
_BOX = r"(?<!\w)(?:P\.? ?O\.? Box|Postfach|Apartado) \d{1,6}(?!\w)"
_ADDRESS = re.compile("|".join((_NUMBER_FIRST, _FRENCH, _NUMBER_LAST, _COMPOUND, _BOX)))
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d ")
_BEFORE_YEAR = re.compile(
    r"\b(?:in|since|by|until|of|from|during|after|before|around|circa|and) $", re.IGNORECASE
)


def urls(text: str) -> Iterator[Span]:
    """Yield links: with a scheme, with `www.`, or bare host names of well-known zones."""
    if not _MAY_BE_URL.search(text):
        return
    for match in _URL.finditer(text):
        yield match.start(), match.start() + len(match[0].rstrip(_AFTER_URL))


def e_mails(text: str) -> Iterator[Span]:
    """Yield e-mail addresses; also spelled out: "ana (at) example.org", "ana at x dot org"."""
    end = 0
    for at in _AT.finditer(text):
        sign = len(at[0]) == 1
        before = text[max(end, at.start() - _LOCAL_LENGTH) : at.start()][::-1]
        local = (_LOCAL_REVERSED if sign else _SPELLED_LOCAL_REVERSED).match(before)
        domain = (_DOMAIN if sign else _SPELLED_DOMAIN).match(text, at.end())
        if not (local and domain) or (at[0] == " at " and " dot " not in domain[0].lower()):
            continue
        length = len(local[0].rstrip(".+%'&-"))
        if length:
            end = domain.end()
            yield at.start() - length, end


def handles(text: str) -> Iterator[Span]:
    """Yield names of accounts: "@ana_k", "u/ana_k"; decorators and tags of code are not."""
    end = 0
    for match in _HANDLE.finditer(text):
        start = match.start()
        joined = (
            start != end and start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_")
        )
        if joined or match[0].lower() in _AT_RULES_AND_TAGS or _DECORATOR.match(text, start):
            continue
        end = match.end()
        yield start, end


def ip_addresses(text: str) -> Iterator[Span]:
    """Yield IPv4 and IPv6 addresses, except the loopback and the unspecified ones: nobody's."""
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(match[0])
            except ValueError:
                continue
            if not (address.is_loopback or address.is_unspecified):
                yield match.span()


def addresses(text: str) -> Iterator[Span]:
    """Yield street addresses of the usual European and American forms, and post-office boxes."""
    for match in _ADDRESS.finditer(text):
        # "in 1929 Wall Street" is no house number.
        year = _YEAR.match(match[0]) and _BEFORE_YEAR.search(text[: match.start()][-8:])
        if not year:
            yield match.span()
