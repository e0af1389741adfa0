"""The command `stapes`: runs a verb and turns every failure into one line and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence

import click
import stapes_spec as spec
from stapes.errors import StapesError as PackageError

from ..device.errors import DeviceError
from ..errors import StapesError
from .adapt import adapt
from .average import average
from .bench import bench
from .convert import convert
from .corpus import corpus
from .demo import demo
from .endpoint import endpoint
from .eval import evaluation
from .grammar import grammar
from .inspect import inspect
from .keys import keys
from .lattice import lattice
from .monitor import monitor
from .pack import densify, pack
from .size import size
from .sparsify import sparsify
from .train import train
from .transcribe import transcribe

EXIT_USER = 2
EXIT_FAULT = 3
EXIT_INTERRUPTED = 130
_DEBUG = "--debug"

_GROUPS = {
    "Recognise": ("transcribe", "demo", "monitor"),
    "Boards": ("size", "keys"),
    "Look into files": ("inspect", "grammar", "lattice"),
    "Make models small": ("convert", "sparsify", "pack", "densify"),
    "Train": ("corpus", "train", "adapt", "average", "endpoint"),
    "Measure": ("eval", "bench"),
}
_EXAMPLES = """\
Examples:

\b
  stapes demo
  stapes transcribe order.wav
  stapes transcribe order.flac --on emulator --lattice order.dot
  stapes transcribe lights.wav --grammar lights.yaml --json
"""


class _Group(click.Group):
    """Lists the verbs in groups."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in _GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(100)) for name in names])


@click.group(cls=_Group, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(spec.PROJECT_VERSION, prog_name="stapes")
@click.option(_DEBUG, is_flag=True, help="Show the traceback of an unexpected fault.")
def stapes(debug: bool) -> None:
    """Streaming speech recognition on four-dollar microcontrollers.

    A recording goes through the board's firmware - on this computer, in an emulated RP2040 or on a
    real board - and comes out as a lattice of what may have been said, with its intent and slots.
    """


_VERBS = (transcribe, demo, inspect, grammar, lattice, convert, sparsify, pack, densify, corpus, train, adapt)
for _verb in (*_VERBS, average, endpoint, evaluation, bench, monitor, keys, size):
    stapes.add_command(_verb)
stapes.add_command(inspect, "model")  # its name before it took any model


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for the user's mistake, 3 for a fault of ours."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = _DEBUG in given
    try:
        stapes.main([word for word in given if word != _DEBUG], prog_name="stapes", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return EXIT_INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
    except click.ClickException as error:
        _say(f"{error.format_message().rstrip('.')}; see `stapes --help`")
        return EXIT_USER
    except (StapesError, DeviceError, PackageError) as error:
        return _expected(error, debug)
    except Exception as error:
        return _unexpected(error, debug)
    return 0


def _expected(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    _say(str(error))
    if isinstance(error, PackageError):
        return EXIT_USER if error.fault == "user" else EXIT_FAULT
    return getattr(error, "exit_code", EXIT_FAULT)


def _unexpected(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    hint = "report it" if debug else "run it again with --debug for the traceback, and report it"
    _say(f"{type(error).__name__}: {error}; this is a fault of Stapes: {hint}")
    return EXIT_FAULT


def _say(text: str) -> None:
    """Print one line on standard error; control characters of file names stay harmless."""
    line = " ".join(text.split())
    print("stapes: " + "".join(c if c.isprintable() else "?" for c in line), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
