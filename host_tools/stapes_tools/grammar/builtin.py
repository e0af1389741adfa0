"""Slot types that every grammar has: numbers, spelt as they are spoken."""

_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]

_ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"]
_TEENTHS = ["tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth"]
_TEENTHS += ["eighteenth", "nineteenth"]


def _cardinals() -> list[str]:
    """Zero to ninety nine."""
    compound = [tens + ones for tens in _TENS for ones in ["", *(" " + digit for digit in _DIGITS[1:])]]
    return _DIGITS + _TEENS + compound


def _ordinals() -> list[str]:
    """First to ninety ninth."""
    compound = [f"{tens[:-1]}ieth" for tens in _TENS]
    compound += [f"{tens} {ordinal}" for tens in _TENS for ordinal in _ORDINALS]
    return _ORDINALS + _TEENTHS + compound


def builtin_slots() -> dict[str, list[tuple[str, ...]]]:
    """Return slot type -> phrases, each a tuple of words."""
    lists = {
        "pv.SingleDigitInteger": _DIGITS,
        "pv.TwoDigitInteger": _cardinals(),
        "pv.Percent": [number + " percent" for number in [*_cardinals(), "one hundred", "a hundred"]],
        "pv.SingleDigitOrdinal": _ORDINALS,
        "pv.TwoDigitOrdinal": _ordinals(),
    }
    return {name: [tuple(phrase.split()) for phrase in phrases] for name, phrases in lists.items()}
