"""Charts as inline SVG: nothing to download, sharp at any size, coloured by the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 520, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34

Points = Sequence[tuple[float, float]]


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
        step = next(m * scale for m in (1, 2, 2.5, 5, 10) if m * scale >= raw)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def line_chart(series: Mapping[str, Points], x_label: str, title: str) -> str:
    """Lines over a shared x axis; series without a finite point are left out."""
    finite = {name: _finite(points) for name, points in series.items()}
    finite = {name: points for name, points in finite.items() if points}
    if not finite:
        return ""
    x, y = _axes([p for points in finite.values() for p in points])
    lines = [
        f'<polyline class="series s{i % 6}" points="{_path(points, x, y)}"/>'
        for i, points in enumerate(finite.values())
    ]
    legend = "".join(
        f'<span class="key"><i class="s{i % 6}"></i>{escape(name)}</span>'
        for i, name in enumerate(finite)
    )
    return _figure(title, _frame(x, y, x_label) + "".join(lines), f'<p class="legend">{legend}</p>')


def scatter_chart(
    points: Mapping[str, tuple[float, float]], x_label: str, y_label: str, title: str
) -> str:
    """Named points, as percentages of 0 to 1."""
    if not points:
        return ""
    x, y = (Axis(0, 1, LEFT, WIDTH - RIGHT - 70), Axis(0, 1, HEIGHT - BOTTOM, TOP + 6))
    dots = [
        f'<circle class="dot s{i % 6}" cx="{x.at(px):.1f}" cy="{y.at(py):.1f}" r="5"/>'
        f'<text class="name" x="{x.at(px) + 8:.1f}" y="{_label_y(i, list(points.values()), y):.1f}">'
        f"{escape(name)}</text>"
        for i, (name, (px, py)) in enumerate(points.items())
    ]
    upright = f'<text class="label" x="{LEFT}" y="{TOP}">{escape(y_label)}</text>'
    return _figure(title, _frame(x, y, x_label, percent=True) + upright + "".join(dots), "")


def _label_y(index: int, points: Sequence[tuple[float, float]], y: Axis) -> float:
    """A label's height, moved down past the labels of earlier points that lie close."""
    place = y.at(points[index][1]) + 4
    taken = [y.at(py) + 4 for px, py in points[:index] if abs(px - points[index][0]) < 0.2]
    while any(abs(place - other) < 12 for other in taken):
        place += 12
    return place


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _axes(points: Points) -> tuple[Axis, Axis]:
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    low, high = min(0.0, *ys), max(*ys, 0.0)
    margin = (high - low) * 0.05 or 1.0
    return (
        Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT),
        Axis(low - (margin if low < 0 else 0), high + margin, HEIGHT - BOTTOM, TOP),
    )


def _path(points: Points, x: Axis, y: Axis) -> str:
    return " ".join(f"{x.at(px):.1f},{y.at(py):.1f}" for px, py in points)


def _frame(x: Axis, y: Axis, x_label: str, percent: bool = False) -> str:
    def shown(value: float) -> str:
        return f"{value:.0%}" if percent else f"{value:g}"

    rules = "".join(
        f'<line class="rule" x1="{x.start:.0f}" x2="{x.end:.0f}" y1="{y.at(t):.1f}" y2="{y.at(t):.1f}"/>'
        f'<text class="tick" x="{x.start - 6:.0f}" y="{y.at(t) + 4:.1f}" text-anchor="end">{shown(t)}</text>'
        for t in y.ticks
    )
    marks = "".join(
        f'<text class="tick" x="{x.at(t):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{shown(t)}</text>'
        for t in x.ticks
    )
    label = (
        f'<text class="label" x="{(x.start + x.end) / 2:.0f}" y="{HEIGHT - 3}" '
        f'text-anchor="middle">{escape(x_label)}</text>'
    )
    return rules + marks + label


def _figure(title: str, body: str, after: str) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escape(title, quote=True)}">{body}</svg>{after}</figure>'
    )
