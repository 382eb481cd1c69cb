"""What is seen while the loop runs: lines of what happened, and below them, on a terminal, a panel of figures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from floodwarden.supervisor import Health

SECONDS_SHOWN: Final = 48
REFRESH_PER_S: Final = 4
_BARS: Final = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Figures:
    """The loop at one moment: decisions so far by verdict, alerts, and the actions in force in words."""

    allowed: int = 0
    limited: int = 0
    denied: int = 0
    challenged: int = 0
    alerts: int = 0
    in_force: Sequence[str] = ()
    time_to_enforce_ms: Sequence[float] = ()

    @property
    def decisions(self) -> int:
        """All of them."""
        return self.allowed + self.limited + self.denied + self.challenged


def sparkline(values: Sequence[float], width: int = SECONDS_SHOWN) -> str:
    """The last `width` values as bars; the highest is full."""
    shown = list(values)[-width:]
    top = max(shown, default=0.0) or 1.0
    return "".join(_BARS[min(8, round(8 * v / top))] for v in shown).rjust(width)


@dataclass(slots=True)
class Screen:
    """Prints events as lines, and on a terminal keeps the panel below them."""

    console: Console
    title: str
    figures: Figures = field(default_factory=Figures)
    health: Sequence[Health] = ()
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=SECONDS_SHOWN))
    _last: tuple[float, int] | None = None

    def say(self, at_s: float | None, mark: str, text: str, style: str = "") -> None:
        """One line of what happened; `mark` is a word of at most eight letters."""
        line = Text(f"{at_s:6.1f} s  " if at_s is not None else " " * 10, style="dim")
        line.append(f"{mark:<9}", style=style or "dim")
        line.append(text, style=style if mark.isupper() else "")
        self.console.print(line, soft_wrap=not self.console.is_terminal, highlight=False)

    def show(self, now_s: float, figures: Figures, health: Sequence[Health]) -> None:
        """Take the newest figures; call it about once a second, the rate is that of the time between."""
        if self._last is not None and now_s > self._last[0]:
            self._rates.append(max(0, figures.decisions - self._last[1]) / (now_s - self._last[0]))
        self._last = (now_s, figures.decisions)
        self.figures, self.health = figures, health

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep the panel up to date on a terminal; elsewhere nothing but the lines."""
        if not self.console.is_terminal:
            yield
            return
        with Live(
            console=self.console,
            get_renderable=self.render,
            refresh_per_second=REFRESH_PER_S,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield

    def render(self) -> RenderableType:
        """The panel as it stands."""
        figures = self.figures
        rate = self._rates[-1] if self._rates else 0.0
        graph = Text.assemble((sparkline(self._rates), "cyan"), f" {rate:6,.0f} decisions/s")
        rows = Table.grid(padding=(0, 3))
        rows.add_row(
            _figure("allowed", figures.allowed, "green"),
            _figure("limited", figures.limited, "yellow"),
            _figure("denied", figures.denied, "red"),
            _figure("challenged", figures.challenged, "magenta"),
            _figure("alerts", figures.alerts, "bold"),
            Text.assemble(("time to enforce ", "dim"), (enforce_words(figures.time_to_enforce_ms), "bold cyan")),
        )
        parts: list[RenderableType] = [graph, rows]
        if figures.in_force:
            parts.append(Text("in force  ", style="dim").append(" · ".join(figures.in_force[:4]), style="red"))
        parts.append(_services(self.health))
        return Panel(Group(*parts), title=self.title, title_align="left", border_style="blue", padding=(0, 1))


def enforce_words(times_ms: Sequence[float]) -> str:
    """Times to enforce in a few words: the middle and the worst one."""
    if not times_ms:
        return "-"
    ordered = sorted(times_ms)
    middle = ordered[(len(ordered) - 1) // 2]
    return f"{middle:.0f} ms" if len(ordered) == 1 else f"{middle:.0f} ms p50, {ordered[-1]:.0f} ms max"


def _figure(name: str, value: int, style: str) -> Text:
    return Text.assemble((f"{name} ", "dim"), (f"{value:,}", style if value else "dim"))


def _services(health: Sequence[Health]) -> Text:
    line = Text()
    for one in health:
        line.append("● ", style="green" if one.pid else "red")
        line.append(one.name, style="" if one.pid else "red")
        if one.crashes:
            line.append(f" (restarted {one.crashes}x)", style="yellow")
        line.append("   ")
    return line
