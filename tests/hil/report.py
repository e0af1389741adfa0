"""The report of a run on a device, in Markdown: what was tested, what came out, with which figures."""


def markdown(device, about, checks):
    """Return the report.

    Args:
        device: str, as `--board` names it.
        about: dict, what the device says of itself; may be empty.
        checks: list of (name, outcome, figures): str, str, list of (name, value, unit).
    """
    passed = sum(outcome == "passed" for _, outcome, _ in checks)
    lines = [f"# Hardware in the loop: {device}", ""]
    lines += [f"{passed} of {len(checks)} checks passed.", "", "| | |", "|---|---|"]
    lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in sorted(about.items())]
    lines += ["", "| Check | Result | Figures |", "|---|---|---|"]
    for name, outcome, figures in checks:
        shown = ", ".join(f"{title} {_number(value)}{unit and ' ' + unit}" for title, value, unit in figures)
        lines.append(f"| {_cell(name)} | {outcome} | {_cell(shown)} |")
    return "\n".join(lines) + "\n"


def _number(value):
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}" if isinstance(value, float) else str(value)


def _cell(value):
    return str(value).replace("|", "\\|").replace("\n", " ")
