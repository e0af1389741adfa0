"""Brute force: every alignment of a few steps with a tiny graph, written without the search's code."""

from collections import namedtuple

import stapes_spec as spec

STEP_MS = spec.FRONTEND_STEP_MS
NONE = spec.LIMITS_NONE16

# said: ((word, start_ms, end_ms, (state, context) at its end), ...); first: the step of the first
# unit since then, or None; word_ended: whether the last step ended a word. doubts: of every step, by how much the best
# of all units, or the blank, would have scored better.
Alignment = namedtuple("Alignment", "score state context said first units last word_ended doubts")


def extend(alignment, graph, step, log_probs, config, context_mask):
    """Yield every continuation of an alignment by one step."""
    row = log_probs(alignment.context)
    blank = row[0] - config[spec.CONFIG_INDEX_BLANK_PENALTY]
    free = max([blank, *row[1:]])
    doubts = (*alignment.doubts, free - blank)
    if alignment.state == graph.start_state:
        blank += config[spec.CONFIG_INDEX_START_DISCOUNT]
    yield alignment._replace(score=alignment.score + blank, word_ended=False, doubts=doubts)
    for next_state, word, weight, unit, _ in graph.arcs_of(alignment.state):
        language = max((weight * config[spec.CONFIG_INDEX_LANGUAGE_SCALE]) // 1024, -32768)
        context = (alignment.context * 256 + unit) & context_mask
        first = step if alignment.first is None else alignment.first
        said = alignment.said
        ended = word != NONE
        if ended:
            said, first = (*said, (word, first * STEP_MS, (step + 1) * STEP_MS, (next_state, context))), None
        yield Alignment(
            alignment.score + row[unit] + language,
            next_state, context, said, first, alignment.units + 1, step + 1, ended,
            (*alignment.doubts, free - row[unit]),
        )  # fmt: skip


def alignments(graph, scores, steps, config, context_size=1):
    """Return, for each number of steps 0 .. steps, the list of all alignments.

    Args:
        graph: stapes_reference.graph.Graph.
        scores: (step, context) -> [log P of each unit].
    """
    mask = 256**context_size - 1
    found = [[Alignment(0, graph.start_state, 0, (), None, 0, 0, False, ())]]
    for step in range(steps):

        def log_probs(context, step=step):
            return scores(step, context)

        found.append([longer for one in found[-1] for longer in extend(one, graph, step, log_probs, config, mask)])
    return found


def doubt_of(alignment):
    """What an alignment has lost from its first unit to the end of its last word, Q.10."""
    if not alignment.said:
        return 0
    first, end = alignment.said[0][1] // STEP_MS, alignment.said[-1][2] // STEP_MS
    return sum(alignment.doubts[first:end])


def words_of(alignment):
    return tuple(word for word, *_ in alignment.said)
