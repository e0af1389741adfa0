"""Lattices for the eye: a table, a Graphviz drawing, and a picture along the time axis."""

from __future__ import annotations

from xml.sax.saxutils import escape

from stapes_tools.lattice.lattice import Edge, Lattice

_ROW = "{:1} {:>7} {:>7} {:>9}  {:<20} {:<16} {:>9} {:>9} {:>7}"


def to_text(lattice: Lattice) -> str:
    """Return what was said, then one line per edge; `*` marks the best path."""
    best = lattice.best
    lines = [
        f"text: {best.text}",
        f"intent: {lattice.intent or ('rejected' if lattice.is_rejected else 'not understood')}",
        *(f"slot: {name} = {value}" for name, value in best.slots.items()),
        "",
        _ROW.format(
            "",
            "start_s",
            "end_s",
            "nodes",
            "word",
            "slot",
            "acoustic",
            "language",
            "context" if lattice.has_context else "",
        ).rstrip(),
    ]
    for edge in sorted(lattice.edges, key=lambda edge: (edge.start_ms, edge.end_ms, not edge.best)):
        word = None if edge.word is None else lattice.words[edge.word]
        row = _ROW.format(
            "*" if edge.best else "",
            f"{edge.start_ms / 1000:.2f}",
            f"{edge.end_ms / 1000:.2f}",
            f"{edge.from_node}-{edge.to_node}",
            word.text if word else "-",
            (word.slot or "") if word else "",
            f"{edge.acoustic:.2f}",
            f"{edge.language:.2f}",
            f"{edge.bias:.2f}" if lattice.has_context else "",
        )
        lines.append(row.rstrip())
    return "\n".join([*lines, ""])


def to_dot(lattice: Lattice) -> str:
    """Return a drawing in Graphviz's language; the best path is bold."""
    lines = ["digraph lattice {", "  rankdir=LR; node [shape=circle, fontsize=10]; edge [fontsize=10];"]
    last = len(lattice.nodes) - 1
    for index, time_ms in enumerate(lattice.nodes):
        shape = ", shape=doublecircle" if index == last else ""
        lines.append(f'  {index} [label="{time_ms / 1000:.2f}"{shape}];')
    for edge in lattice.edges:
        style = ", penwidth=2.5" if edge.best else ""
        lines.append(f'  {edge.from_node} -> {edge.to_node} [label="{_dot_label(lattice, edge)}"{style}];')
    return "\n".join([*lines, "}", ""])


def _dot_label(lattice: Lattice, edge: Edge) -> str:
    if edge.word is None:
        return ""
    word = lattice.words[edge.word]
    text = f"{word.text} ${word.slot}" if word.slot else word.text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f"{escaped}\\n{edge.acoustic:.1f} {edge.language:.1f}" + (f" {edge.bias:+.1f}" if edge.bias else "")


_PIXELS_PER_S = 240
_LANE = 30


def to_svg(lattice: Lattice) -> str:
    """Return a picture: each word a bar over the time it was spoken, alternatives below each other."""
    spoken = sorted((e for e in lattice.edges if e.word is not None), key=lambda e: (not e.best, -e.score_raw))
    free: list[list[tuple[int, int]]] = []
    bars = []
    for edge in spoken:
        lane = _lane(free, edge)
        bars.append(_bar(lattice, edge, lane))
    width = lattice.nodes[-1] / 1000 * _PIXELS_PER_S + 20
    height = (len(free) + 1) * _LANE + 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" font-family="sans-serif">'
    seconds = range(lattice.nodes[-1] // 1000 + 1)
    axis = [f'<text x="{10 + s * _PIXELS_PER_S}" y="16" font-size="11" fill="#777">{s} s</text>' for s in seconds]
    return "\n".join([head, *axis, *bars, "</svg>", ""])


def _lane(taken: list[list[tuple[int, int]]], edge: Edge) -> int:
    """Return the first lane where the edge's time is free, and take it."""
    for lane, spans in enumerate(taken):
        if all(edge.end_ms <= start or edge.start_ms >= end for start, end in spans):
            spans.append((edge.start_ms, edge.end_ms))
            return lane
    taken.append([(edge.start_ms, edge.end_ms)])
    return len(taken) - 1


def _bar(lattice: Lattice, edge: Edge, lane: int) -> str:
    assert edge.word is not None
    word = lattice.words[edge.word]
    x = 10 + edge.start_ms / 1000 * _PIXELS_PER_S
    width = max((edge.end_ms - edge.start_ms) / 1000 * _PIXELS_PER_S, 4)
    y = (lane + 1) * _LANE
    colour = ("#9ecae1" if word.slot else "#c7e9c0") if edge.best else "#eeeeee"
    title = f"{word.text}{f' (slot {word.slot})' if word.slot else ''}: {edge.acoustic:.2f} {edge.language:.2f}"
    title += f" {edge.bias:+.2f}" if edge.bias else ""
    return (
        f'<g><title>{escape(title)}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_LANE - 6}" '
        f'rx="3" fill="{colour}" stroke="#888"/>'
        f'<text x="{x + 4:.1f}" y="{y + 16}" font-size="12">{escape(word.text)}</text></g>'
    )
