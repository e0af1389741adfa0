"""Words that the dictionary lacks: from a recipe's [data.extra_words] or a grammar's `pronunciations:`."""

import tomllib
from pathlib import Path

import yaml

from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon


def lexicon_with(path: Path | None) -> Lexicon:
    """The dictionary, with the words of a recipe (.toml) or a grammar (.yaml) if there is one.

    Raises:
        UserError: the file cannot be read, or a pronunciation in it is wrong.
    """
    return Lexicon(_words(path) if path else {})


def _words(path: Path) -> dict:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            found = tomllib.loads(text).get("data", {}).get("extra_words", {})
        else:
            found = (yaml.safe_load(text) or {}).get("pronunciations") or {}
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, "check the name") from None
    except (ValueError, AttributeError, yaml.YAMLError) as error:
        advice = "give a recipe (.toml) or a grammar (.yaml)"
        raise UserError(f"is neither ({' '.join(str(error).split())[:80]})", path, advice) from None
    if not isinstance(found, dict):
        raise UserError("its pronunciations are no table", path, "write lines such as `alexa: AH L EH K S AH`")
    return found
