"""Charts as inline SVG: nothing to download, sharp at any size, coloured by the page.

They are drawn about as wide as a phone, so that their writing keeps its size there.
Every name that comes from data is escaped here; colours are classes k0 … k5 and base.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from neat_align.report.glossary import number

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 12, 36
STRIP_WIDTH, STRIP_HEIGHT = 240, 40
MOST_POINTS = 150
COLOURS = 6

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Mark:
    """A figure with its interval, as charts need it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Axis:
    """A linear scale from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """About five round values within the range."""
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        raw = span / 4
        scale = 10 ** math.floor(math.log10(raw))
        step = next(m * scale for m in (1, 2, 2.5, 5, 10) if m * scale >= raw * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def line_chart(
    series: Mapping[str, Points],
    x_label: str,
    title: str,
    note: str = "",
    colours: Mapping[str, str] | None = None,
    percent: bool = False,
) -> str:
    """Lines over a shared x axis; "" when no series has a finite point.

    Args:
        series: points by name; more than `MOST_POINTS` are averaged in equal stretches.
        x_label: what the x axis counts.
        title: the chart's heading.
        note: a sentence on how to read it.
        colours: colour class by series name; by order where it names none.
        percent: values are shares: the axis runs from 0 to 100 %.
    """
    finite = {name: _thinned(_finite(points)) for name, points in series.items()}
    finite = {name: points for name, points in finite.items() if points}
    if not finite:
        return ""
    colour = {name: (colours or {}).get(name, f"k{i % COLOURS}") for i, name in enumerate(finite)}
    x, y = _axes([p for points in finite.values() for p in points], percent)
    lines = "".join(_line(points, x, y, colour[name]) for name, points in finite.items())
    body = _frame(x, y, x_label, percent) + lines
    return _figure(title, note, body, _key(colour) if len(finite) > 1 else "")


def scatter_chart(
    points: Mapping[str, tuple[Mark, Mark]],
    x_label: str,
    y_label: str,
    title: str,
    colours: Mapping[str, str],
) -> str:
    """Named shares against each other, with their intervals as crosses; "" for no points."""
    if not points:
        return ""
    x, y = Axis(0, 1, LEFT, WIDTH - RIGHT), Axis(0, 1, HEIGHT - BOTTOM, TOP + 10)
    dots = "".join(_dot(px, py, x, y, colours[name], name) for name, (px, py) in points.items())
    upright = f'<text class="label" x="4" y="{TOP}">↑ {escape(y_label)}</text>'
    body = _frame(x, y, x_label, percent=True) + upright + dots
    return _figure(title, "", body, _key({name: colours[name] for name in points}))


def strip(rows: Sequence[tuple[str, Mark]], share: bool, label: str) -> str:
    """Draw a bar (shares) or a dot (numbers) per figure with its interval, on one scale.

    Args:
        rows: colour class and figure.
        share: the scale is 0 to 100 %; else it spans the intervals.
        label: read out by screen readers.
    """
    low, high = (0.0, 1.0) if share else _span(rows)
    x = Axis(low, high, 3, STRIP_WIDTH - 3)
    body = f'<line class="rule" x1="3" x2="3" y1="2" y2="{STRIP_HEIGHT - 2}"/>' if share else ""
    for i, (colour, mark) in enumerate(rows):
        middle = 11 + 18 * i
        if share:
            width = x.at(mark.value) - x.start
            body += (
                f'<rect class="bar {colour}" x="3" y="{middle - 5}" '
                f'width="{width:.1f}" height="10" rx="1.5"/>'
            )
        body += _whisker(x.at(mark.low), x.at(mark.high), middle, "cap" if share else colour)
        if not share:
            place = x.at(mark.value)
            body += f'<circle class="dot {colour}" cx="{place:.1f}" cy="{middle}" r="4.5"/>'
    return (
        f'<svg class="strip" viewBox="0 0 {STRIP_WIDTH} {STRIP_HEIGHT}" role="img" '
        f'aria-label="{escape(label, quote=True)}">{body}</svg>'
    )


def _span(rows: Sequence[tuple[str, Mark]]) -> tuple[float, float]:
    low, high = min(m.low for _, m in rows), max(m.high for _, m in rows)
    margin = (high - low) * 0.08 or 1.0
    return low - margin, high + margin


def _whisker(start: float, end: float, middle: float, colour: str) -> str:
    return (
        f'<path class="whisker {colour}" d="M{start:.1f} {middle}H{end:.1f}'
        f'M{start:.1f} {middle - 3}v6M{end:.1f} {middle - 3}v6"/>'
    )


def _dot(px: Mark, py: Mark, x: Axis, y: Axis, colour: str, name: str) -> str:
    cx, cy = x.at(px.value), y.at(py.value)
    cross = (
        f"M{x.at(px.low):.1f} {cy:.1f}H{x.at(px.high):.1f}"
        f"M{cx:.1f} {y.at(py.low):.1f}V{y.at(py.high):.1f}"
    )
    told = f"{name}: {100 * px.value:.1f} %, {100 * py.value:.1f} %"
    return (
        f'<g><title>{escape(told)}</title><path class="whisker {colour}" d="{cross}"/>'
        f'<circle class="dot {colour}" cx="{cx:.1f}" cy="{cy:.1f}" r="5"/></g>'
    )


def _line(points: Points, x: Axis, y: Axis, colour: str) -> str:
    if len(points) == 1:
        ((px, py),) = points
        return f'<circle class="dot {colour}" cx="{x.at(px):.1f}" cy="{y.at(py):.1f}" r="3"/>'
    path = " ".join(f"{x.at(px):.1f},{y.at(py):.1f}" for px, py in points)
    return f'<polyline class="series {colour}" points="{path}"/>'


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _thinned(points: Points) -> Points:
    """At most `MOST_POINTS`, each the mean of a stretch of neighbours."""
    if len(points) <= MOST_POINTS:
        return points
    size = math.ceil(len(points) / MOST_POINTS)
    parts = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in p) / len(p), sum(y for _, y in p) / len(p)) for p in parts]


def _axes(points: Points, percent: bool) -> tuple[Axis, Axis]:
    """Axes that hold all points and zero."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    low, high = (0.0, 1.0) if percent else (min(0.0, *ys), max(*ys, 0.0))
    margin = 0.0 if percent else (high - low) * 0.06 or 1.0
    return (
        Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT),
        Axis(
            low - (margin if low < 0 else 0),
            high + (margin if high > 0 else 0) or 1.0,
            HEIGHT - BOTTOM,
            TOP,
        ),
    )


def _frame(x: Axis, y: Axis, x_label: str, percent: bool) -> str:
    rules = "".join(
        f'<line class="{"zero" if t == 0 else "rule"}" x1="{x.start:.0f}" x2="{x.end:.0f}" '
        f'y1="{y.at(t):.1f}" y2="{y.at(t):.1f}"/>'
        f'<text class="tick end" x="{x.start - 6:.0f}" y="{y.at(t) + 4:.1f}">'
        f"{_tick(t, percent)}</text>"
        for t in y.ticks
    )
    # Over shares both axes are shares; over steps only the upright one is.
    shares_across = percent and (x.low, x.high) == (0, 1)
    marks = "".join(
        f'<text class="tick mid" x="{x.at(t):.1f}" y="{HEIGHT - BOTTOM + 15}">'
        f"{_tick(t, shares_across)}</text>"
        for t in x.ticks
    )
    middle = (x.start + x.end) / 2
    label = f'<text class="label mid" x="{middle:.0f}" y="{HEIGHT - 5}">{escape(x_label)}</text>'
    return rules + marks + label


def _tick(value: float, percent: bool) -> str:
    if percent:
        return f"{100 * value:.0f} %"
    text = number(value) if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "−")


def _key(colours: Mapping[str, str]) -> str:
    items = "".join(
        f'<span><i class="{colour}"></i>{escape(name)}</span>' for name, colour in colours.items()
    )
    return f'<p class="key">{items}</p>'


def _figure(title: str, note: str, body: str, key: str) -> str:
    told = f"<small>{escape(note)}</small>" if note else ""
    return (
        f"<figure><figcaption>{escape(title)}{told}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{body}</svg>{key}</figure>'
    )
