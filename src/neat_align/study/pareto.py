"""Two figures of every method against each other, as one SVG that stands alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from neat_align.report.charts import Axis
from neat_align.report.glossary import entry
from neat_align.study.summary import OURS

WIDTH, HEIGHT = 720, 460
LEFT, RIGHT, TOP, BOTTOM = 64, 120, 34, 50
INK, FAINT, OWN, OTHER = "#1c1c1c", "#d9d9d9", "#b3261e", "#35618e"
LABEL_HEIGHT = 13  # pixels between two labels that would overlap

Figures = Mapping[str, Mapping[str, Any]]


def pareto_svg(methods: Mapping[str, Figures], x_metric: str, y_metric: str) -> str:
    """Points with their 95 % intervals as crosses, each with its name beside it.

    Args:
        methods: figures of each method, with value, low and high.
        x_metric, y_metric: which two.
    """
    x = _axis(methods, x_metric, LEFT, WIDTH - RIGHT)
    y = _axis(methods, y_metric, HEIGHT - BOTTOM, TOP)
    points = {n: (f[x_metric], f[y_metric]) for n, f in methods.items()}
    dots = "".join(_dot(n, px, py, x, y) for n, (px, py) in points.items())
    labels = _labels({n: (x.at(p["value"]), y.at(q["value"])) for n, (p, q) in points.items()})
    told = f"{entry(y_metric).title} against {entry(x_metric).title}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" aria-label="{escape(told)}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        f"{_frame(x, y, x_metric, y_metric)}{dots}{labels}</svg>\n"
    )


def _axis(methods: Mapping[str, Figures], metric: str, start: float, end: float) -> Axis:
    """From 0, or the lowest interval, to a little past the highest."""
    lows = [f[metric]["low"] for f in methods.values()]
    highs = [f[metric]["high"] for f in methods.values()]
    low, high = min(0.0, *lows), max(highs)
    return Axis(low, high + 0.04 * (high - low or 1.0), start, end)


def _frame(x: Axis, y: Axis, x_metric: str, y_metric: str) -> str:
    parts = []
    for tick in y.ticks:
        parts.append(
            f'<path d="M{x.start:.0f} {y.at(tick):.1f}H{x.end:.0f}" stroke="{FAINT}"/>'
            f'<text x="{x.start - 6:.0f}" y="{y.at(tick) + 4:.1f}" text-anchor="end" '
            f'fill="{INK}">{_tick(tick, y_metric)}</text>'
        )
    for tick in x.ticks:
        parts.append(
            f'<path d="M{x.at(tick):.1f} {y.start:.0f}v4" stroke="{INK}"/>'
            f'<text x="{x.at(tick):.1f}" y="{y.start + 18:.0f}" text-anchor="middle" '
            f'fill="{INK}">{_tick(tick, x_metric)}</text>'
        )
    parts.append(
        f'<text x="{(x.start + x.end) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle" '
        f'fill="{INK}">{escape(_title(x_metric))}</text>'
        f'<text x="8" y="18" fill="{INK}">↑ {escape(_title(y_metric))}</text>'
    )
    return "".join(parts)


def _dot(name: str, px: Mapping[str, float], py: Mapping[str, float], x: Axis, y: Axis) -> str:
    colour = OWN if name == OURS else OTHER
    cx, cy = x.at(px["value"]), y.at(py["value"])
    return (
        f'<path d="M{x.at(px["low"]):.1f} {cy:.1f}H{x.at(px["high"]):.1f}M{cx:.1f} '
        f'{y.at(py["low"]):.1f}V{y.at(py["high"]):.1f}" stroke="{colour}" opacity="0.5"/>'
        f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="4.5" fill="{colour}"/>'
    )


def _labels(places: Mapping[str, tuple[float, float]]) -> str:
    """Names right of their points, moved up or down where they would cover one another."""
    taken: list[tuple[float, float]] = []
    parts = []
    for name, (px, py) in sorted(places.items(), key=lambda item: (item[0] != OURS, item[1][1])):
        at = next((y for y in _heights(py + 4) if _free(px, y, taken)), py + 4)
        taken.append((px, at))
        weight = ' font-weight="bold"' if name == OURS else ""
        parts.append(
            f'<text x="{px + 8:.1f}" y="{at:.1f}" fill="{INK}"{weight}>{escape(name)}</text>'
        )
    return "".join(parts)


def _heights(wanted: float) -> Iterator[float]:
    """Heights within the plot, the nearest to the wanted one first."""
    for step in range(HEIGHT):
        for height in (wanted - step, wanted + step):
            if TOP < height < HEIGHT - BOTTOM:
                yield height


def _free(x: float, y: float, taken: Sequence[tuple[float, float]]) -> bool:
    return not any(abs(x - tx) < 90 and abs(y - ty) < LABEL_HEIGHT for tx, ty in taken)


def _tick(value: float, metric: str) -> str:
    return f"{100 * value:.0f} %" if entry(metric).unit == "share" else f"{value:g}"


def _title(metric: str) -> str:
    return f"{entry(metric).title} (better: {entry(metric).better})"
