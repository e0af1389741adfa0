"""The search against brute force, its twin, its limits."""

import random
from pathlib import Path

import pytest
import stapes_spec as spec
from graph_builder import build_graph, random_graph
from search_oracle import alignments, words_of
from search_runner import DEFAULTS, NativeSearch, ReadLattice, TwinSearch, make_config
from stapes_reference.graph import Graph
from stapes_tools.kernels.search import FFI

IMPLEMENTATIONS = [NativeSearch, TwinSearch]


KINDS = {
    "random": lambda rng: -rng.randrange(4000),
    "coarse": lambda rng: -500 * rng.randrange(3),
    "ties": lambda rng: -1000,
    "extreme": lambda rng: rng.choice([0, -32768]),
}


class Scores:
    """Random log-probabilities of one kind, the same for the same (step, context)."""

    def __init__(self, rng, units, kind="random"):
        self._rng, self._units, self._make = rng, units, KINDS[kind]
        self._rows = {}

    def __call__(self, step, context):
        if (step, context) not in self._rows:
            self._rows[step, context] = [self._make(self._rng) for _ in range(self._units)]
        return self._rows[step, context]


def step_once(search, scores, step):
    return search.step(lambda context: scores(step, context))


def run(search, scores, steps):
    for step in range(steps):
        assert step_once(search, scores, step) == 0
    return search


# --- against brute force -----------------------------------------------------------------


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("seed", range(30))
def test_best_path_is_the_best_alignment(implementation, seed):
    rng = random.Random(seed)
    data = random_graph(rng, states=rng.randint(1, 5), arcs=rng.randint(1, 8), units=4, words=3)
    graph, context_size = Graph(data), rng.randint(0, 2)
    scores = Scores(rng, 4, rng.choice(["random", "coarse"]))
    config = make_config(
        blank_penalty=rng.randrange(-500, 500),
        start_discount=rng.choice([0, 300]),
        language_scale=rng.choice([0, 700, 1024]),
    )
    every = alignments(graph, scores, 5, config, context_size)
    search = implementation(data, config, context_size)
    for step in range(5):
        step_once(search, scores, step)
        found = every[step + 1]
        best = max(found, key=lambda one: one.score)
        ties = [one for one in found if one.score == best.score]
        status = search.status()
        assert status[spec.STATUS_INDEX_BEST_SCORE] == best.score
        assert tuple(search.partial()) in {words_of(one) for one in ties}
        assert status[spec.STATUS_INDEX_BEST_IS_FINAL] in {int(graph.finals[one.state] != 65535) for one in ties}
        assert status[spec.STATUS_INDEX_TRAILING_BLANKS] in {step + 1 - one.last for one in ties}
        assert status[spec.STATUS_INDEX_UNITS_EMITTED] in {one.units for one in ties}
        assert status[spec.STATUS_INDEX_TOKENS_DROPPED] == 0
        assert status[spec.STATUS_INDEX_STEPS] == step + 1
        reached = {(one.state, one.context) for one in found}
        assert status[spec.STATUS_INDEX_ACTIVE_TOKENS] == len(reached)
    contexts = [len({one.context for one in every[step]}) for step in range(5)]
    assert search.status()[spec.STATUS_INDEX_JOINT_EVALUATIONS] == sum(contexts)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_beam_and_cap_keep_the_best_tokens(implementation):
    """After one step from one token nothing but the first step's scores decides who stays."""
    arcs = [(0, unit, unit, None, -10 * unit) for unit in range(1, 8)]
    data = build_graph(8, arcs, {7: 0}, [], ["intent"])
    row = [-500, -400, -300, -300, -290, -200, -100, -600]
    totals = sorted(row[:1] + [row[unit] - 10 * unit for unit in range(1, 8)], reverse=True)
    for beam in (0, 100, 1 << 20):
        for cap in (1, 3, 8):
            search = implementation(data, make_config(beam=beam, max_tokens=cap), 1)
            search.step(lambda context: row)
            status = search.status()
            kept = [total for total in totals[:cap] if total >= totals[0] - beam]
            assert status[spec.STATUS_INDEX_ACTIVE_TOKENS] == len(kept)
            assert status[spec.STATUS_INDEX_BEST_SCORE] == totals[0]
            if beam == 1 << 20:
                assert status[spec.STATUS_INDEX_TOKENS_DROPPED] == 8 - cap


# --- C against twin ----------------------------------------------------------------------


def random_case(seed):
    """A random graph, configuration and scores; tables from ample to absurd."""
    rng = random.Random(seed)
    units = rng.randint(2, 6)
    graph = random_graph(rng, rng.randint(1, 9), rng.randint(0, 24), units, rng.randint(1, 5))
    config = make_config(
        max_tokens=rng.choice([1, 2, 4, 4, 8, 96]),
        max_nodes=rng.choice([1, 2, 4, 8, 8, 16, 384]),
        max_edges=rng.choice([1, 2, 8, 16, 768]),
        max_alternatives=rng.choice([1, 2, 4, 16]),
        beam=rng.choice([0, 500, 5000, 1 << 24]),
        lattice_beam=rng.choice([0, 1, 500, 5000, 1 << 24]),
        blank_penalty=rng.choice([0, 100, -300, 32767, -32768]),
        start_discount=rng.choice([0, 0, 200, 32767, -32768]),
        language_scale=rng.choice([0, 1024, 500, 32767]),
    )
    return graph, config, rng.randint(0, 2), Scores(rng, units, rng.choice(list(KINDS))), rng.randint(0, 14)


def test_native_equals_twin():
    flags = {0: 0, spec.LATTICE_FLAGS_COMPLETE: 0, spec.LATTICE_FLAGS_TRUNCATED: 0}
    dropped = 0
    for seed in range(600):
        graph, config, context_size, scores, steps = random_case(seed)
        native, twin = NativeSearch(graph, config, context_size), TwinSearch(graph, config, context_size)
        assert native.lattice() == twin.lattice()
        for step in range(steps):
            assert step_once(native, scores, step) == step_once(twin, scores, step) == 0
            assert native.status() == twin.status(), seed
            assert native.partial() == twin.partial(), seed
            lattice = native.lattice(seed, step)
            assert lattice == twin.lattice(seed, step), seed
            seen = ReadLattice(lattice).flags
            for flag in flags:
                flags[flag] += bool(seen & flag) if flag else not seen & ~spec.LATTICE_FLAGS_FINAL
        dropped += native.status()[spec.STATUS_INDEX_TOKENS_DROPPED] > 0
    assert min(flags.values()) > 120 and dropped > 60, "the cases do not reach the full tables"


@pytest.mark.parametrize(
    "step_score,weight,scale,penalty,discount", [(-32768, -32768, 32767, 32767, -32768), (0, 0, 0, -32768, 32767)]
)
def test_scores_do_not_overflow(step_score, weight, scale, penalty, discount):
    """The most extreme scores for as many steps as a decoder takes; the twin's integers have no limit."""
    arcs = [(0, 1, 1, None, weight), (1, 1, 0, None, weight), (1, 2, 0, 0, weight)]
    graph = build_graph(2, arcs, {0: 0}, [(1, None, 0)], ["intent", "word"])
    config = make_config(
        blank_penalty=penalty, start_discount=discount, language_scale=scale, max_nodes=8, max_edges=8, max_tokens=3,
        beam=1 << 24, lattice_beam=1 << 24,
    )  # fmt: skip
    native, twin = NativeSearch(graph, config), TwinSearch(graph, config)
    row = [step_score] * 3
    for step in range(spec.LIMITS_SEARCH_STEPS):
        native.step(lambda context: row)
        twin.step(lambda context: row)
        if step % 1024 == 1023:
            assert native.status() == twin.status()
            assert native.lattice() == twin.lattice()
    assert abs(native.status()[spec.STATUS_INDEX_BEST_SCORE]) >= 32768 * spec.LIMITS_SEARCH_STEPS
    before = native.lattice()
    assert native.step(lambda context: row) == twin.step(lambda context: row) == -spec.ERROR_AUDIO_LENGTH
    assert native.lattice() == before


def test_a_recording_fits_the_steps():
    steps = spec.LIMITS_MAX_RECORDING_S * 1000 // spec.FRONTEND_STEP_MS + spec.ENDPOINT_FLUSH_STEPS
    assert steps <= spec.LIMITS_SEARCH_STEPS


# --- the border --------------------------------------------------------------------------


def test_failed_scorer_leaves_the_search_as_it_was():
    graph = build_graph(2, [(0, 1, 1, 0, 0), (1, 1, 0, 0, 0)], {1: 0}, [(0, None, 0)], ["x"])
    search, untouched = NativeSearch(graph, make_config()), NativeSearch(graph, make_config())
    rows = {0: [-100, -200], 1: [-300, -50]}
    for calls in (0, 1):
        left = [calls]

        def fail_later(context, left=left):
            left[0] -= 1
            return rows[context] if left[0] >= 0 else None

        assert search.step(fail_later) == -spec.ERROR_INTERNAL
        assert search.status() == untouched.status() and search.lattice() == untouched.lattice()
        for one in (search, untouched):
            assert one.step(rows.get) == 0
        assert search.status() == untouched.status() and search.lattice() == untouched.lattice()


def test_another_graph_is_refused():
    graph = build_graph(1, [(0, 1, 0, 0, 0)], {0: 0}, [(0, None, 0)], ["x"])
    other = NativeSearch(build_graph(1, [(0, 1, 0, 0, -1)], {0: 0}, [(0, None, 0)], ["x"]), make_config())
    search = NativeSearch(graph, make_config())
    search._graph = other._graph
    assert search.step(lambda context: [-1, -1]) == -spec.ERROR_STATE
    assert search.lattice() == -spec.ERROR_STATE


@pytest.mark.parametrize("name", DEFAULTS)
def test_config_out_of_range(name):
    graph = build_graph(1, [], {0: 0}, [], ["x"])
    library = NativeSearch(graph, make_config()).library
    low = {"blank_penalty": -32769, "start_discount": -32769}.get(name, -1)
    for value in (low, -(1 << 31), (1 << 31) - 1):
        config = FFI.new("int32_t[]", make_config(**{name: value}))
        assert library.st_search_size(config, 1) == -spec.ERROR_ARGUMENT
    for context_size in (-1, 3):
        assert library.st_search_size(FFI.new("int32_t[]", make_config()), context_size) == -spec.ERROR_ARGUMENT


def test_default_tables_are_small():
    names = ("max_tokens", "beam", "lattice_beam", "max_alternatives", "max_nodes", "max_edges")
    config = make_config(**{name: getattr(spec, f"SEARCH_{name.upper()}") for name in names})
    graph = build_graph(1, [], {0: 0}, [], ["x"])
    assert NativeSearch(graph, config).size <= 33 * 1024


def test_twin_stays_clear_of_the_native_code():
    """The twin is an oracle only while it is an implementation of its own."""
    for name in ("graph", "search", "lattice", "lattice_write"):
        text = (Path(__file__).parents[2] / "firmware/reference/stapes_reference" / f"{name}.py").read_text()
        assert "cffi" not in text and "stapes_kernels" not in text
