"""`stapes corpus augment`: changed copies of recordings."""

from pathlib import Path

import click

from ..corpora.progress import tracked
from ..errors import UserError
from . import corpus_options as options
from .render import console


def _band(context: click.Context, option: click.Parameter, given: str | None) -> tuple[float, float] | None:
    if given is None:
        return None
    low, _, high = given.partition("-")
    try:
        band = float(low), float(high)
    except ValueError:
        raise click.BadParameter("write it as LOW-HIGH in Hz, for instance 300-3400") from None
    if not 0 < band[0] < band[1] < 8000:
        raise click.BadParameter("LOW is above 0, HIGH above LOW and below 8000 Hz")
    return band


def _snrs(context: click.Context, option: click.Parameter, given: str | None) -> tuple[float, ...]:
    try:
        snrs = tuple(float(part) for part in given.split(",")) if given else ()
    except ValueError:
        raise click.BadParameter("write decibels, for instance 6 or 6,12,24") from None
    if not all(-40 <= snr <= 80 for snr in snrs):
        raise click.BadParameter("it lies between -40 and 80 dB")
    return snrs


@click.command(short_help="Make changed copies of recordings, to listen to or to score with.")
@click.argument("source", type=options.FILE, metavar="FILE|NAME|DIR")
@click.argument("folder", type=options.FOLDER, metavar="OUT_DIR")
@click.option("--noise", "noises", type=options.FILE, multiple=True, help="Recording, or folder of them, to mix in.")
@click.option(
    "--snr", "snrs_db", metavar="DB[,DB…]", callback=_snrs, help="Of --noise; several: a copy each.  [default: 10]"
)
@click.option("--room", "rooms", type=options.FILE, multiple=True, help="Impulse response, or folder of them.")
@click.option("--speed", type=click.FloatRange(0.5, 2.0), default=1.0, help="Factor; pitch and formants follow.")
@click.option("--pitch", type=click.FloatRange(-12, 12), default=0.0, metavar="SEMITONES", help="The tempo stays.")
@click.option(
    "--formants", type=click.FloatRange(0.7, 1.4), default=1.0, metavar="FACTOR", help="VTLP; the pitch stays."
)
@click.option("--band", metavar="LOW-HIGH", callback=_band, help="What passes, in Hz: 300-3400 is a telephone.")
@click.option("--level", type=click.FloatRange(-80, 0), metavar="DB", help="Loudness, dB full scale.")
@click.option("--clip", type=click.FloatRange(0, 60), metavar="DB", help="Drive peaks DB beyond full scale.")
@click.option("--random", "random_copies", type=click.IntRange(1), metavar="N", help="N copies as training draws them.")
@click.option("--pitch-spread", type=click.FloatRange(0, 6), default=0.0, help="Of --random: deviation in semitones.")
@click.option("--formant-spread", type=click.FloatRange(0, 0.15), default=0.0, help="Of --random: deviation, say 0.08.")
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses noise, its stretch and room.")
@options.BAD
@options.ROOT
def augment(
    *,
    source: Path,
    folder: Path,
    noises: tuple[Path, ...],
    snrs_db: tuple[float, ...],
    rooms: tuple[Path, ...],
    speed: float,
    pitch: float,
    formants: float,
    band: tuple[float, float] | None,
    level: float | None,
    clip: float | None,
    random_copies: int | None,
    pitch_spread: float,
    formant_spread: float,
    seed: int,
    skip_bad: bool,
    roots: tuple[Path, ...],
) -> None:
    """Write changed copies of a recording, or of every recording of a corpus, to OUT_DIR.

    Changes are made in the order voice, speed, room, noise, band, level, clipping. OUT_DIR gets the
    words of the recordings, too, so that it can be scored.
    """
    with options.train_extra():
        from ..corpora.augment import VoiceSpread
        from ..corpora.copies import Changes, Copies, make_copies
    if snrs_db and not noises:
        raise UserError("--snr needs a noise", advice="name one with --noise")
    changes = Changes(pitch, formants, speed, bool(rooms), None, band, level, clip)
    spread = VoiceSpread(pitch_spread, formant_spread)
    if random_copies and (snrs_db or changes != Changes(in_room=bool(rooms))):
        raise UserError("--random draws the changes by itself", advice="give only --noise, --room and spreads with it")
    if spread and not random_copies:
        raise UserError("spreads belong to --random", advice="use --pitch and --formants, or add --random 10")
    snrs_db = snrs_db or ((10.0,) if noises and not random_copies else ())
    wanted = Copies(changes, snrs_db, random_copies or 0, spread, seed)
    lines, meanings = _recordings(source, roots)
    around = _surroundings(noises, rooms)
    done = 0
    for fault in tracked(make_copies(lines, meanings, folder, wanted, around), "changing", len(lines)):
        options.warn([fault] if fault else [], skip_bad and len(lines) > 1)
        done += fault is None
    console.print(f"{folder}: copies of {done:,} recordings", soft_wrap=True)


def _recordings(source: Path, roots: tuple[Path, ...]) -> tuple[list, dict]:
    """Lines of a file or a corpus, and what its recordings mean."""
    from ..corpora.layouts import default_roots, find_corpus
    from ..corpora.readers import Line, meanings

    if source.is_file() or source.suffix:
        return [Line(str(source), (source.stem, "", "", source), is_wordless=True)], {}
    found = find_corpus(str(source), roots or default_roots())
    return list(found.lines()), meanings(found.folder)


def _surroundings(noises: tuple[Path, ...], rooms: tuple[Path, ...]):
    from ..corpora.augment import Surroundings
    from ..corpora.build import read_recording
    from ..corpora.readers import AUDIO_SUFFIXES

    def files(given: tuple[Path, ...]) -> list[Path]:
        inside = [[one] if not one.is_dir() else sorted(one.rglob("*")) for one in given]
        found = [path for paths in inside for path in paths if path.suffix in AUDIO_SUFFIXES or path in given]
        for path in found:
            read_recording(path)  # a wrong rate is said before the work
        if given and not found:
            raise UserError("there is no recording in it", given[0], "name a recording, or a folder of them")
        return found

    return Surroundings.read(files(noises), files(rooms))
