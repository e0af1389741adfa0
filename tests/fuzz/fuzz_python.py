"""Fuzz the Python readers with atheris, led by the lines that they reach.

Usage: python tests/fuzz/fuzz_python.py CASE [libFuzzer's options] FOLDER...
CASE is a function of cases.py. A file that breaks its promise is written to ./crash-*, and the exit code is 77.
"""

import random
import sys

import atheris

with atheris.instrument_imports(
    include=["stapes_reference", "stapes_tools.convert", "stapes_tools.grammar", "stapes_tools.lattice", "stapes"]
):
    from cases import CASES
from mutations import mutated


def main():
    """Run one case for as long as the options say."""
    name = sys.argv.pop(1)

    def mutator(data, max_size, seed):
        rng = random.Random(seed)
        if len(data) < 8 or rng.randrange(16) == 0:
            return atheris.Mutate(data, max_size)
        return mutated(rng, data)[:max_size]

    atheris.Setup(sys.argv, CASES[name], custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
