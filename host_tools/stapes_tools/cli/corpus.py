"""`stapes corpus`: speech for training and scoring."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from ..corpora.originals import ORIGINALS
from ..corpora.progress import on_terminal, tracked
from ..corpora.voices import ENGINES, check_voice, list_voices
from ..errors import UserError
from . import corpus_options as options
from .corpus_augment import augment
from .render import console

_EXAMPLES = """\
Examples:

\b
  stapes corpus list
  stapes corpus speak lights.yaml spoken --engine flite --engine hibari --count 50
  stapes corpus check spoken
  stapes corpus augment spoken noisy --noise kitchen.flac --snr 6,12,24
  stapes corpus fetch train-clean-100 --mirror ADDRESS
"""


@click.group(short_help="List, synthesise, check, change and fetch speech.", epilog=_EXAMPLES)
def corpus() -> None:
    """Speech for training and scoring: list it, synthesise it, check it, change it, fetch it.

    A corpus is a folder of 16 kHz mono recordings with a table of what is said. docs/corpora.md
    describes the layouts that are read.
    """
    click.get_current_context().with_resource(on_terminal())


@corpus.command("list", short_help="Synthesisers and their voices; corpora and their hours.")
@options.ROOT
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object and nothing else.")
def list_all(roots: tuple[Path, ...], as_object: bool) -> None:
    """List the synthesisers, installed or not, and the corpora that are there."""
    from ..corpora.figures import measure
    from ..corpora.layouts import default_roots, find_corpora

    engines = [
        {"name": name, "installed": one.is_installed, "voices": list_voices(name), "install": one.install}
        for name, one in ENGINES.items()
    ]
    found = [(corpus, measure(corpus)) for corpus in find_corpora(roots or default_roots())]
    if as_object:
        rows = [{"name": one.name, "folder": str(one.folder), "layout": one.layout} | vars(of) for one, of in found]
        click.echo(json.dumps({"engines": engines, "corpora": rows}))
        return
    _print_engines()
    table = Table("corpus", "layout", "utterances", "speakers", "hours", "", box=None, pad_edge=False)
    for column in table.columns[2:5]:
        column.justify = "right"
    for one, of in found:
        speakers = "-" if of.speakers is None else f"{of.speakers:,}"
        note = f"{of.faulty} unreadable: see stapes corpus check {one.name}" if of.faulty else ""
        table.add_row(Text(one.name), one.layout, f"{of.utterances:,}", speakers, f"{of.hours:.2f}", Text(note))
    console.print()
    if found:
        console.print(table)
    else:
        console.print("no corpora in " + " and ".join(map(str, roots or default_roots())), soft_wrap=True)


def _print_engines() -> None:
    table = Table("synthesiser", "installed", "voices", "", box=None, pad_edge=False)
    for name, one in ENGINES.items():
        voices = [voice.partition("/")[2] for voice in dict.fromkeys(list_voices(name))]
        shown = ", ".join(voices[:3]) + (f" and {len(voices) - 3} more" if len(voices) > 3 else "")
        how = "" if one.is_installed else f"install it: {one.install}"
        table.add_row(name, "yes" if one.is_installed else "no", Text(shown), Text(how))
    console.print(table)


@corpus.command(short_help="Speak a list of sentences, or a grammar's, into a folder.")
@click.argument("source", type=options.FILE, metavar="SENTENCES.txt|GRAMMAR.yaml")
@click.argument("folder", type=options.FOLDER, metavar="OUT_DIR")
@click.option("--engine", "engines", type=click.Choice(list(ENGINES)), multiple=True, help="Repeatable; default: all.")
@click.option("--voice", "voices", metavar="ENGINE/NAME", multiple=True, help="Only this voice; repeatable.")
@click.option("--count", type=click.IntRange(1), help="Utterances; default: one a sentence, 100 of a grammar.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of sentences, voices and their settings.")
@click.option("--plain", is_flag=True, help="Leave pitch, formants and loudness as the engines make them.")
@click.option("--grammar", type=options.FILE, metavar="FILE.yaml", help="Label SENTENCES with what they mean by it.")
@options.PRONUNCIATIONS
@options.BAD
@options.PROCESSES
@options.CLUSTER
def speak(
    *,
    source: Path,
    folder: Path,
    engines: tuple[str, ...],
    voices: tuple[str, ...],
    count: int | None,
    seed: int,
    plain: bool,
    grammar: Path | None,
    pronunciations: Path | None,
    skip_bad: bool,
    processes: int,
    cluster: str | None,
) -> None:
    """Speak sentences, one a line, or sentences drawn from a grammar, into OUT_DIR.

    OUT_DIR becomes a corpus: FLAC files, refs.json and text.tsv, which `stapes corpus check`, the
    training recipe and the scoring tools read. Rate, pitch, formants and loudness vary. What is
    there already is kept, so a run that was stopped goes on where it was.
    """
    from ..corpora import executors
    from ..corpora import speak as speaking
    from ..grammar.reader import read_grammar

    chosen = _voices(engines, voices)
    if source.suffix in (".yaml", ".yml"):
        count = count or 100
        sentences = speaking.sample_sentences(read_grammar(source), count, seed)
    else:
        texts = list(_good_sentences(source, pronunciations, skip_bad))
        sentences = speaking.meant(texts, read_grammar(grammar) if grammar else None)
    if not sentences:
        raise UserError("there is no sentence in it", source, "write one a line")
    tasks = speaking.plan(sentences, chosen, count or len(sentences), seed, not plain)
    with options.train_extra():
        spoken = speaking.speak(tasks, folder, executors.choose(processes, cluster, len(tasks)))
    silent = f", {spoken.silent} came out silent" if spoken.silent else ""
    console.print(f"{folder}: {spoken.made} spoken, {spoken.found} there before{silent}", soft_wrap=True)


def _voices(engines: tuple[str, ...], voices: tuple[str, ...]) -> dict[str, list[str]]:
    """engine -> voices; what is not installed is refused if it was asked for, else left out."""
    for voice in voices:
        check_voice(voice)
    asked = dict.fromkeys([*engines, *(voice.partition("/")[0] for voice in voices)])
    names = list(asked) or [name for name, one in ENGINES.items() if one.is_installed]
    for name in names:
        if not ENGINES[name].is_installed:
            raise UserError(f"the synthesiser {name} is not installed", advice=f"run: {ENGINES[name].install}")
    if not names:
        raise UserError("no synthesiser is installed", advice="stapes corpus list says how to install them")
    return {name: [voice for voice in voices if voice.startswith(name + "/")] or list_voices(name) for name in names}


def _good_sentences(source: Path, pronunciations: Path | None, skip_bad: bool) -> Iterator[str]:
    from ..corpora.check import faults_of_words
    from ..corpora.pronunciations import lexicon_with
    from ..corpora.speak import sentence_lines

    lexicon = lexicon_with(pronunciations)
    for line in sentence_lines(source):
        faults = faults_of_words(line, lexicon)
        options.warn(faults, skip_bad)
        if line.recording and not faults:
            yield line.recording[1]


@corpus.command(short_help="Look for bad lines and recordings.")
@click.argument("name", metavar="NAME|DIR")
@options.BAD
@options.PRONUNCIATIONS
@options.ROOT
@options.PROCESSES
def check(*, name: str, skip_bad: bool, pronunciations: Path | None, roots: tuple[Path, ...], processes: int) -> None:
    """Check every line of a corpus, given by NAME or folder, and its recording.

    One line says what is wrong where, and what to do: missing or damaged recordings, wrong rates,
    stereo, empty transcripts, words without pronunciation, malformed or repeated lines. The exit
    code is 0 if all is well and 2 if not.
    """
    from ..corpora.check import check as check_lines
    from ..corpora.executors import choose
    from ..corpora.layouts import default_roots, find_corpus
    from ..corpora.pronunciations import lexicon_with

    found = find_corpus(name, roots or default_roots())
    lines = list(found.lines())
    checked = check_lines(lines, lexicon_with(pronunciations), choose(processes, tasks=len(lines) // 32))
    count = bad = 0
    for _, faults in tracked(checked, f"checking {found.name}", len(lines)):
        count += 1
        bad += bool(faults)
        for fault in faults:
            console.print(Text(str(fault)), soft_wrap=True)
        if faults and not skip_bad:
            raise UserError("stopped at the first bad line", found.folder, "mend it, or go on with --skip-bad")
    if not count:
        raise UserError("there is no line in it", found.folder, "is this the right folder?")
    if bad:
        raise UserError(f"{bad} of {count} lines are bad", found.folder, "mend or delete them; training skips them")
    console.print(f"{found.folder}: {count:,} lines, nothing wrong", soft_wrap=True)


@corpus.command(short_help="Download a public corpus by name, checked.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option(
    "--mirror", envvar="STAPES_MIRROR", metavar="ADDRESS", help="Folder that has the file; or $STAPES_MIRROR."
)
def fetch(name: str | None, mirror: str | None) -> None:
    """Download the public corpus NAME, check and unpack it; without NAME, list those that are known.

    A download that was cut off goes on where it was. Where we know no published SHA-256, the first
    download is trusted and its checksum written beside it, to be compared with from then on.
    """
    from ..corpora.fetch import fetch as fetch_corpus

    if name is None:
        _print_originals()
        return
    with options.train_extra():
        fetched = fetch_corpus(name, mirror)
    if fetched.was_there:
        console.print(f"{fetched.folder}: there already", soft_wrap=True)
        return
    console.print(f"{fetched.folder}: unpacked from {fetched.archive}", soft_wrap=True)
    trust = "as published" if fetched.is_known else "no published one is known to us; it is now pinned beside the file"
    console.print(f"SHA-256 {fetched.sha256}: {trust}", soft_wrap=True)


def _print_originals() -> None:
    for one in ORIGINALS.values():
        console.print(Text(one.name, style="bold"))
        console.print(Text(f"  {one.about}"), soft_wrap=True)
        console.print(Text(f"  {one.file}, published by {one.project}"), soft_wrap=True)


@corpus.command(short_help="Make the audio of a recipe ahead of training.")
@click.argument("recipe", type=options.FILE, metavar="RECIPE.toml")
@options.PROCESSES
@options.CLUSTER
def pack(recipe: Path, processes: int, cluster: str | None) -> None:
    """Synthesise and decode all speech that RECIPE.toml asks for, into the cache.

    `stapes train` does the same by itself; this spreads it over more machines. A run that was
    stopped goes on where it was.
    """
    from ..corpora.executors import choose
    from ..grammar.lexicon import Lexicon

    with options.train_extra():
        from ..train.data import training_packs
        from ..train.recipe import read_recipe

        settings = read_recipe(recipe)
        packs = training_packs(settings, Lexicon(settings.data.extra_words), choose(processes, cluster))
    for one in packs:
        console.print(f"{one.folder}: {len(one):,} utterances, {one.hours:.2f} h", soft_wrap=True)


corpus.add_command(augment)
