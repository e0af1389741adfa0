"""Look for what is wrong with a corpus, line by line."""

import functools
from collections.abc import Iterable, Iterator

from stapes_tools.audio import read_recording as read_checked
from stapes_tools.corpora.executors import Executor
from stapes_tools.corpora.readers import CorpusError, Line, Recording
from stapes_tools.corpora.words import clean_words
from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon, UnknownWordError

LONGEST_S = 3600  # of noises, which are cut to measure; nobody speaks that long


def check(lines: Iterable[Line], lexicon: Lexicon, executor: Executor) -> Iterator[tuple[Line, list[CorpusError]]]:
    """Check every line: its form, its words and its recording.

    Args:
        lines: of a corpus.
        lexicon: pronunciations that there are.
        executor: decodes the recordings.
    Yields:
        each line with all that is wrong with it.
    """
    given = list(lines)
    faults = faults_of_recordings(given, executor)
    names: dict[str, str] = {}
    for line in given:
        if line.recording is None:
            yield line, [line.error] if line.error else []
            continue
        errors = faults_of_words(line, lexicon)
        fault = next(faults)
        if fault:
            errors.append(fault)
        first = names.setdefault(line.recording[0], line.place)
        if first != line.place:
            advice = "rename one of them, or delete the line"
            errors.append(CorpusError(f"{line.recording[0]} is on {first} already", line.place, advice))
        yield line, errors


def faults_of_words(line: Line, lexicon: Lexicon, with_hints: bool = True) -> list[CorpusError]:
    """What keeps the words of a line from being learnt; hints at similar words take a while."""
    if line.is_wordless or line.recording is None:
        return []
    text = line.recording[1]
    words = clean_words(text)
    errors = []
    digits = next((part for part in text.split() if any(map(str.isdigit, part))), None)
    if digits:
        advice = "write the words that were spoken"
        errors.append(CorpusError(f"{digits!r} does not tell how it was spoken", line.place, advice))
    elif not words:
        errors.append(CorpusError("the transcript is empty", line.place, "write what is said, or delete the line"))
    for word in dict.fromkeys(words):
        if word not in lexicon:
            errors.append(_unknown(word, line.place, lexicon if with_hints else None))
    return errors


def faults_of_recordings(lines: Iterable[Line], executor: Executor) -> Iterator[CorpusError | None]:
    """What is wrong with the file of each line that has a recording: missing, cut short, damaged, empty, its rate."""
    good = [(line.place, line.recording) for line in lines if line.recording]
    faults = executor.map(_fault_of, [recording for _, recording in good])
    for (place, _), fault in zip(good, faults, strict=True):
        yield _at(place, fault) if fault else None


def _fault_of(recording: Recording) -> UserError | None:
    try:
        read_checked(recording[3], LONGEST_S)
    except UserError as error:
        return error
    return None


def _at(place: str, fault: UserError) -> CorpusError:
    """A recording's fault at the line that names it."""
    what = fault.what if str(fault.path) == place else f"{fault.path}: {fault.what}"
    return CorpusError(what, place, fault.advice)


def _unknown(word: str, place: str, lexicon: Lexicon | None) -> CorpusError:
    near = _similar(word, lexicon) if lexicon else []
    hint = f"did you mean {' or '.join(map(repr, near))}? Otherwise " if near else ""
    advice = f"{hint}give its phones in the recipe's [data.extra_words], or a grammar's `pronunciations:`"
    return CorpusError(f"the word {word!r} has no known pronunciation", place, advice)


@functools.lru_cache(1000)
def _similar(word: str, lexicon: Lexicon) -> list[str]:
    try:
        lexicon.pronunciations(word)
    except UnknownWordError as error:
        return error.suggestions
    return []
