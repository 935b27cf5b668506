"""Units of quantities: what is the same unit, and how units of one dimension convert."""

import re
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["CURRENCY_SIGN", "Unit", "counted", "unit_of"]

# Symbol, base, value in the base, then the other names. A pound is money or a weight: one unit,
# since no question leaves both open.
_TABLE = """
m       m 1          metre metres meter meters
km      m 1000       kilometre kilometres kilometer kilometers kms
cm      m 1/100      centimetre centimetres centimeter centimeters
mm      m 1/1000     millimetre millimetres millimeter millimeters
in      m 0.0254     inch inches
ft      m 0.3048     foot feet
yd      m 0.9144     yard yards
mi      m 1609.344   mile miles
s       s 1          sec secs second seconds
min     s 60         mins minute minutes
h       s 3600       hr hrs hour hours
d       s 86400      day days
wk      s 604800     week weeks
month   month 1      months
yr      month 12     yrs year years
g       g 1          gram grams gramme grammes gm
kg      g 1000       kilo kilos kilogram kilograms kgs
mg      g 1/1000     milligram milligrams
t       g 1000000    tonne tonnes
pound   pound 1      pounds lb lbs GBP \u00a3 quid
oz      pound 1/16   ounce ounces
pence   pound 1/100  penny
L       L 1          l litre litres liter liters
mL      L 1/1000     ml millilitre millilitres milliliter milliliters
cL      L 1/100      cl centilitre centilitres
cup     cup 1        cups
tbsp    cup 1/16     tablespoon tablespoons
tsp     cup 1/48     teaspoon teaspoons
pint    cup 2        pints
quart   cup 4        quarts
gallon  cup 16       gallons gal
ha      m^2 10000    hectare hectares
\u00b0  \u00b0 1     degree degrees deg
\u00b0C \u00b0C 1    celsius
\u00b0F \u00b0F 1    fahrenheit
W       W 1          watt watts
kW      W 1000       kilowatt kilowatts
kWh     kWh 1        kilowatt-hour kilowatt-hours
V       V 1          volt volts
A       A 1          amp amps ampere amperes
N       N 1          newton newtons
J       J 1          joule joules
kcal    kcal 1       kilocalorie kilocalories
Hz      Hz 1         hertz
MB      MB 1         megabyte megabytes
GB      MB 1000      gigabyte gigabytes
%       % 1          percent pct
USD     USD 1        $ US$ dollar dollars buck bucks
cent    USD 1/100    cents \u00a2
EUR     EUR 1        \u20ac euro euros
JPY     JPY 1        \u00a5 yen
INR     INR 1        \u20b9 Rs Rs. rupee rupees
CNY     CNY 1        yuan RMB
BRL     BRL 1        R$ real reais
AUD     AUD 1        A$ AU$
CAD     CAD 1        C$ CA$
CHF     CHF 1        Fr. franc francs
"""
_IRREGULAR = {"people": "person", "persons": "person", "children": "child", "men": "man"} | {
    "women": "woman"
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: `symbol` as it is written, `base` of its dimension, and its value in the base."""

    symbol: str
    base: str
    factor: Fraction


def _table() -> dict[str, Unit]:
    found: dict[str, Unit] = {}
    for row in _TABLE.strip().splitlines():
        symbol, base, factor, *names = row.split()
        unit = Unit(symbol, base, Fraction(factor))
        found |= dict.fromkeys((symbol, *names), unit)
    return found


_UNITS = _table()
# One letter means different units in either case.
_ANY_CASE = {name.casefold(): unit for name, unit in _UNITS.items() if len(name) > 1}
_SQUARE = re.compile(r"(square|sq\.?|cubic|cu\.?) (.+)", re.IGNORECASE)
_POWER = re.compile(r"(.*[^\W\d])\s?\^?([23])")
_PER = re.compile(r"\s*/\s*| per ")
_DEGREES = re.compile(r"(?:\u00b0|degrees?|deg)\s?([CcFf])(?:elsius|ahrenheit)?")

CURRENCY_SIGN = re.compile(
    r"(?:US|AU?|CA?|R)?\$|[\u20ac\u00a3\u00a5\u20b9]|Rs\.?(?=\s?\d)"
    r"|(?:USD|EUR|GBP|JPY|INR|CNY|BRL|AUD|CAD|CHF)\b",
)
"""What stands in front of a sum of money."""


def _simple(name: str) -> Unit | None:
    name = name.strip()
    if degrees := _DEGREES.fullmatch(name):
        return _UNITS["\u00b0" + degrees[1].upper()]
    if name.casefold() == "per cent":
        return _UNITS["%"]
    if name in ("mph", "kph", "kmh"):
        return unit_of({"mph": "mi/h"}.get(name, "km/h"))
    if unit := _UNITS.get(name) or _ANY_CASE.get(name.casefold()):
        return unit
    power, of = 0, ""
    if square := _SQUARE.fullmatch(name):
        power, of = (2 if square[1][0] in "sS" else 3), square[2]
    elif raised := _POWER.fullmatch(name):
        power, of = int(raised[2]), raised[1]
    unit = _UNITS.get(of) or _ANY_CASE.get(of.casefold())
    if unit is None:
        return None
    return Unit(f"{unit.symbol}^{power}", f"{unit.base}^{power}", unit.factor**power)


def unit_of(name: str) -> Unit | None:
    """Return the unit of a name or symbol in plain notation (km, kilometres per hour, m^2)."""
    above, *below = _PER.split(name.strip())
    unit = _simple(above)
    if unit is None or len(below) > 1:
        return None
    if not below:
        return unit
    per = _simple(below[0])
    if per is None:
        return None
    return Unit(f"{unit.symbol}/{per.symbol}", f"{unit.base}/{per.base}", unit.factor / per.factor)


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if re.search(r"(?:x|ch|sh|ss)es$", word):
        return word[:-2]
    return word[:-1] if len(word) > 3 and re.search(r"[^sui]s$", word) else word


_NO_COUNTED = frozenset("or and to plus minus times of than x by in on at is".split())
_COUNTED = re.compile(r"[^\W\d_][^\d+*/^=<>()\[\]{}|,;:.!?%$]{0,60}")
_ASIDE = re.compile(r" (?:of|in total|total|altogether|in all|left|remaining)(?: .*)?$")


def counted(name: str) -> Unit | None:
    """Return what is counted in "3 red apples" as a unit of its own: `red apple`.

    One letter is none, since 2x is an expression; nor is what starts with a word like "or".
    """
    name = name.strip().casefold()
    words = _ASIDE.sub("", name).replace("-", " ").split()
    short = len(name) == 1 and name.isascii()
    if not _COUNTED.fullmatch(name) or short or len(words) > 4 or words[0] in _NO_COUNTED:
        return None
    if len(words) == 1 and (known := unit_of(words[0])):
        return known
    symbol = " ".join([*words[:-1], _singular(words[-1])])
    return Unit(symbol, symbol, Fraction(1))
