"""Fuzz the kernels and the Python readers, and show what was run and which lines of the kernels it reached.

Usage: python tests/fuzz/run.py [--runs 1000000] [--jobs 2] [--seed 1]
What is found is written to build/fuzz/found; what reaches new lines is kept in build/fuzz/corpus for the next time.
"""

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import seeds  # noqa: E402  (beside this file)
import targets  # noqa: E402

# Shares of the runs: of the kernels' targets, which make up one, and of the slow Python cases.
SHARES = {"model": 0.45, "zero_skip": 0.2, "graph": 0.2, "decoder": 0.12, "frontend": 0.03}
PYTHON_SHARES = {
    "model_twins": 0.01,
    "graph_twins": 0.01,
    "model_readers": 0.004,
    "graph_reader": 0.003,
    "lattice_reader": 0.003,
}
# What the C targets found is worth a look in Python.
ALSO = {
    "model_twins": ("model", "zero_skip"),
    "model_readers": ("model", "zero_skip"),
    "graph_twins": ("graph",),
    "graph_reader": ("graph",),
}
MAX_INPUT_BYTES = 8192
CASE_TIMEOUT_S = 60


@dataclass
class Result:
    """What one fuzzer did."""

    name: str
    cases: int
    seconds: float
    corpus: int
    failure: str


def _folder(kind, name):
    folder = targets.OUTPUT / kind / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _corpora(name):
    """Where a fuzzer keeps what reaches new lines, then what it only reads: what failed before, and the seeds."""
    others = [_folder("corpus", other) for other in ALSO.get(name, ())]
    folders = (
        _folder("corpus", name),
        *others,
        _folder("found", name),
        seeds.write_seeds(name, _folder("seeds", name)),
    )
    return [str(folder) for folder in folders]


def _program(name):
    if name in SHARES:
        return [str(targets.build_target(name))]
    return [sys.executable, str(HERE / "fuzz_python.py"), name]


def fuzz(name, runs, seed):
    """Run one fuzzer.

    Args:
        name: a fuzz target of the kernels or a case of cases.py.
        runs: how many cases, those of the corpus included.
    """
    options = (
        f"-runs={runs}",
        f"-seed={seed}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-timeout={CASE_TIMEOUT_S}",
        f"-artifact_prefix={_folder('found', name)}/",
        "-print_final_stats=1",
    )
    command = [*_program(name), *options, *_corpora(name)]
    start = time.monotonic()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    (targets.OUTPUT / f"{name}.log").write_text(done.stdout)
    cases = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    failure = "" if done.returncode == 0 else done.stdout[-3000:]
    kept = len(list(_folder("corpus", name).iterdir()))
    return Result(name, int(cases[1]) if cases else 0, time.monotonic() - start, kept, failure)


def _count_lines(name):
    """Run a target's corpus once, its lines counted; returns the profile."""
    program = targets.build_target(name, "coverage")
    profile = targets.OUTPUT / f"{name}.profraw"
    environment = {**os.environ, "LLVM_PROFILE_FILE": str(profile)}
    command = [str(program), "-runs=0", *_corpora(name)]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    return program, profile


def coverage():
    """Return [(kernel's file, lines reached, lines)] over the corpora of all targets of the kernels."""
    counted = [_count_lines(name) for name in SHARES]
    merged = targets.OUTPUT / "all.profdata"
    subprocess.run([targets.tool("llvm-profdata"), "merge", *(p for _, p in counted), "-o", merged], check=True)
    objects = [argument for program, _ in counted[1:] for argument in ("-object", str(program))]
    command = [
        targets.tool("llvm-cov"),
        "export",
        "-summary-only",
        f"-instr-profile={merged}",
        str(counted[0][0]),
        *objects,
    ]
    exported = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = []
    for file in exported["data"][0]["files"]:
        path = Path(file["filename"])
        if path.parent.name == "kernels" and path.suffix == ".c":
            lines = file["summary"]["lines"]
            found.append((path.name, lines["covered"], lines["count"]))
    return sorted(found)


def _show(results, lines):
    table = Table("fuzzer", "cases", "seconds", "corpus", "result")
    for result in results:
        outcome = "FAILED" if result.failure else "ok"
        table.add_row(result.name, f"{result.cases:,}", f"{result.seconds:.0f}", str(result.corpus), outcome)
    reached = Table("file", "lines reached", "of")
    for row in lines:
        reached.add_row(*map(str, row))
    Console().print(table, reached)


@click.command()
@click.option(
    "--runs", type=click.IntRange(min=100), default=1_000_000, show_default=True, help="Cases for the kernels."
)
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Fuzzers at once.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the mutations.")
@click.option("--python/--no-python", default=True, help="Fuzz the Python twin and readers, too.")
def main(runs, jobs, seed, python):
    """Fuzz everything; exit code 1 when something was found."""
    shares = SHARES | PYTHON_SHARES if python else SHARES
    for name in SHARES:
        _program(name)
    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(lambda item: fuzz(item[0], round(item[1] * runs), seed), shares.items()))
    failed = [result for result in results if result.failure]
    _show(results, [] if failed else coverage())
    for result in failed:
        print(
            f"{result.name}: {result.failure}\n{result.name}: the input is in {targets.OUTPUT / 'found' / result.name}"
        )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
