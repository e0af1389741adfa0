"""How much a corpus holds."""

from dataclasses import dataclass

import soundfile

from stapes_tools.corpora.layouts import Corpus
from stapes_tools.corpora.progress import tracked


@dataclass(frozen=True)
class Figures:
    """What a corpus holds; speakers is None where they are not told apart, faulty counts unreadable lines."""

    utterances: int
    hours: float
    speakers: int | None
    faulty: int


def measure(corpus: Corpus) -> Figures:
    """Count utterances, speakers and hours by the headers of the recordings; `check` looks closer.

    Raises:
        CorpusError: a table of the corpus is missing.
    """
    count, seconds, faulty = 0, 0.0, 0
    speakers = set()
    for line in tracked(list(corpus.lines()), f"reading {corpus.name}"):
        try:
            if line.recording is None:
                raise OSError
            seconds += soundfile.info(line.recording[3]).duration
        except (OSError, soundfile.LibsndfileError):
            faulty += 1
            continue
        count += 1
        speakers.add(line.recording[2])
    speakers.discard("")
    known = len(speakers) if corpus.has_speakers and speakers else None
    return Figures(count, seconds / 3600, known, faulty)
