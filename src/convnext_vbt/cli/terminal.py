"""Results as a terminal shows them: tables, the verdict, where the report lies.

Colour only where stdout is a terminal and NO_COLOR is not set; tables are 120 columns wide where it
is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from convnext_vbt.evidence.comparison import RunComparison
    from convnext_vbt.market.download import Download
    from convnext_vbt.runs.run import Run

PIPED_WIDTH = 120
HOLES_SHOWN = 10
COLOURS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}
_ROWS = (
    ("total_return", "total return", "{:+.1%}"),
    ("cagr", "CAGR", "{:+.1%}"),
    ("sharpe", "Sharpe ratio, annual", "{:.2f}"),
    ("max_drawdown", "max drawdown", "{:.1%}"),
    ("trades", "trades", "{:,.0f}"),
)
_SYMBOL_COLUMNS = (
    ("profit", "profit", "{:+,.0f}"),
    ("total_return", "of initial cash", "{:+.1%}"),
    ("max_drawdown", "max drawdown", "{:.1%}"),
    ("trades", "trades", "{:,.0f}"),
    ("win_rate", "win rate", "{:.0%}"),
    ("funding", "funding paid", "{:+,.0f}"),
)
_HEADLINES = {
    "nested": "rules chosen walk-forward, each split by the splits before it",
    "initial": "the initial rule throughout, no split had earlier results to choose another by",
    "fixed": "one fixed rule, chosen by you",
}
_RUN_COLUMNS = (
    "run", "data", "out of sample", "splits", "CAGR", "Sharpe", "trades", "verdict",
)  # fmt: skip


def console() -> Console:
    """Stdout, as wide as the terminal."""
    from rich.console import Console

    out = Console(highlight=False, markup=False)
    return out if out.is_terminal else Console(highlight=False, markup=False, width=PIPED_WIDTH)


def value_text(value: Any, form: str) -> str:
    """`value` by `form`; what is undefined is n/a."""
    return "n/a" if value is None else form.format(value)


def print_run(done: Run) -> None:
    """What a run came to: the headline beside single cells, the verdict, where the report lies."""
    out, metrics = console(), done.metrics
    first, last = (when[:10] for when in metrics["window"])
    say(out, f"{done.directory.name} · out of sample from {first} to {last}", style="bold")
    if done.times:
        say(out, done.times)
    _figures(out, metrics)
    if "symbols" in metrics:
        _symbols(out, metrics["symbols"])
    say(
        out,
        f"headline: {_HEADLINES[metrics['headline']['selection']]}; "
        f"best in hindsight: best of {metrics['cells']} cells",
    )
    for sentence in _remarks(metrics):
        say(out, sentence)
    _verdict(out, metrics["verdict"], metrics["notes"])
    say(out, f"report: {done.report}", style="bold")


def _figures(out: Console, metrics: dict[str, Any]) -> None:
    own, best, head = (
        metrics[name] for name in ("strategy_cell", "best_cell_in_hindsight", "headline")
    )
    columns = {"headline": head}
    columns["strategy file"] = next(iter(own["symbols"].values()))  # the account comes first
    if best is not None:
        columns["best in hindsight"] = best["metrics"]
    rows: list[Sequence[str]] = []
    for key, label, form in _ROWS:
        rows.append((label, *(value_text(one.get(key), form) for one in columns.values())))
        if key == "sharpe":
            rows.append(("  90 % CI", _interval(head), *[""] * (len(columns) - 1)))
    cells = [own["cell"]]
    if best is not None:
        cells.append({k: v for k, v in best["cell"].items() if k != "symbol"})
    rules = [_cell_text(cell) for cell in cells]
    by_split = metrics["headline"]["selection"] == "nested"
    rows.append(("rule", "by split" if by_split else "fixed", *rules))
    print_table(out, ("", *columns), rows)


def _symbols(out: Console, figures: dict[str, dict[str, Any]]) -> None:
    """What each symbol brought to the headline's account."""
    shown = [(key, *how) for key, *how in _SYMBOL_COLUMNS if key in next(iter(figures.values()))]
    rows = [
        (symbol, *(value_text(row[key], form) for key, _, form in shown))
        for symbol, row in figures.items()
    ]
    print_table(out, ("headline by symbol", *(label for _, label, _ in shown)), rows)


def _interval(head: dict[str, Any]) -> str:
    low, high = head["sharpe_low"], head["sharpe_high"]
    return "n/a" if low is None or high is None else f"{low:.2f} to {high:.2f}"


def _cell_text(cell: dict[str, Any]) -> str:
    return ", ".join(
        str(value) if name == "threshold" else f"{name} {value}" for name, value in cell.items()
    )


def _remarks(metrics: dict[str, Any]) -> list[str]:
    said = [*metrics["baselines"]["sentences"], *metrics["sentences"]]
    if metrics["waiting"] is not None:
        said.append(metrics["waiting"]["sentence"])
    thin = metrics["cells_under_30_trades"]
    if thin:
        said.append(
            f"{thin} of {metrics['cells']} cells have fewer than 30 trades: too few to judge by"
        )
    unlearned = [str(fit["number"] + 1) for fit in metrics["fits"] if not fit["learned"]]
    if unlearned:
        said.append(f"splits whose model never beat the base rates: {', '.join(unlearned)}")
    return said


def _verdict(out: Console, verdict: dict[str, Any], notes: Sequence[str]) -> None:
    say(out, f"verdict: {verdict['word']}", style=f"bold {COLOURS[verdict['word']]}")
    for reason in verdict["reasons"]:
        say(out, f"  {'+' if reason['ok'] else '-'} {reason['text']}")
    for note in notes:
        say(out, f"  ! {note}")


def print_bars(facts: dict[str, Any]) -> None:
    """What `check` found: each symbol's bars, what had to be changed, sessions, gaps, spikes."""
    out = console()
    for symbol, shares in facts["labels"].items():
        balance = " ".join(f"{name} {share:.0%}" for name, share in shares.items())
        own = facts["by_symbol"][symbol]
        say(
            out,
            f"{symbol}: {own['bars']:,} bars {facts['step']} UTC · {own['first']} to "
            f"{own['last']} · {own['gaps']:,} gaps ({own['missing_bars']:,} bars) · "
            f"{facts['bars_per_year']:,.0f} bars a year · labels {balance}",
        )
    say(out, f"  {facts['times']}")
    if facts["reading"]:
        say(out, f"  read: {'; '.join(facts['reading'])}")
    for change in facts["changes"]:
        say(out, f"  changed: {change['count']:,} {change['what']}")
    if facts["closed_weekdays"] is not None:
        closed, years = facts["closed_weekdays"], facts["bars"] / facts["bars_per_year"]
        say(
            out,
            f"  sessions: {closed:,} weekdays without a bar ({closed / years:.1f} a year; "
            f"exchanges have 8 to 20 holidays), {facts['short_sessions']:,} short days",
        )
    if facts["prior_lacks"]:
        say(
            out,
            '  network: set model.prior = "none", for the one trained beforehand reads what these '
            f"bars do not give: {', '.join(facts['prior_lacks'])}",
        )
    for gap in facts["largest_gaps"]:
        count = f"{gap['missing']:,} {'bar' if gap['missing'] == 1 else 'bars'}"
        whose = f"{gap['symbol']}, " if len(facts["symbols"]) > 1 else ""
        say(out, f"  gap {gap['start'][:16]} to {gap['end'][:16]} ({whose}{count})")
    if (more := facts["gaps"] - len(facts["largest_gaps"])) > 0:
        say(out, f"  and {more:,} more, none longer")
    for spike in facts["largest_spikes"]:
        whose = f"{spike['symbol']}, " if len(facts["symbols"]) > 1 else ""
        say(
            out,
            f"  spike {spike['time'][:16]} ({whose}{spike['move']:+.1%} and back, "
            f"{spike['ranges']:.0f} usual ranges): a bad tick or a crash, kept as it is",
        )
    if (more := facts["spikes"] - len(facts["largest_spikes"])) > 0:
        say(out, f"  and {more:,} more, none larger")
    _leaps(out, facts)


def _leaps(out: Console, facts: dict[str, Any]) -> None:
    """Prices that changed for good, stood still, or are of days when the market is closed."""
    for leap in facts["largest_leaps"]:
        whose = f"{leap['symbol']}, " if len(facts["symbols"]) > 1 else ""
        what = (
            f"as a split of {leap['ratio']} that nobody adjusted leaves it"
            if leap["ratio"]
            else "another contract or unit, or a crash"
        )
        say(
            out,
            f"  leap {leap['time'][:16]} ({whose}{leap['move']:+.1%}, and it stays): {what}, kept "
            "as it is",
        )
    if (more := facts["leaps"] - len(facts["largest_leaps"])) > 0:
        say(out, f"  and {more:,} more, none larger")
    for one in facts["longest_frozen"]:
        whose = f"{one['symbol']}, " if len(facts["symbols"]) > 1 else ""
        say(
            out,
            f"  frozen {one['start'][:16]} to {one['end'][:16]} ({whose}{one['bars']:,} bars): "
            "volume 0 or one price, kept as it is",
        )
    if (more := facts["frozen"] - len(facts["longest_frozen"])) > 0:
        say(out, f"  and {more:,} more, none longer")
    if odd := facts["odd_days"]:
        shown = ", ".join(odd[:5]) + (", ..." if len(odd) > 5 else "")
        say(
            out, f"  odd: bars on {len(odd):,} day(s) of a weekend on a market of weekdays: {shown}"
        )


def print_runs(entries: Sequence[dict[str, Any]]) -> None:
    """A folder's runs, a line each, and where their reports lie."""
    out = console()
    rows = [
        (
            entry["run"],
            entry["data"],
            entry["window"],
            str(entry["splits"]),
            value_text(entry["cagr"], "{:+.1%}"),
            value_text(entry["sharpe"], "{:.2f}"),
            value_text(entry["trades"], "{:,.0f}"),
            entry["verdict"],
        )
        for entry in entries
    ]
    print_table(out, _RUN_COLUMNS, rows)
    folder = Path(entries[0]["report"]).parent.parent
    say(out, f"reports: {folder / '<run>' / 'report.html'}")


def print_comparison(found: RunComparison, page: Path) -> None:
    """Key figures of every run over the common window, what differs, where the page lies."""
    from convnext_vbt.report.compare_page import difference_texts, figure_texts

    out = console()
    say(out, f"common out-of-sample window: {found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}")
    for text in found.unequal:
        say(out, f"not on equal terms: {text}", style="yellow")
    header = ("run", "CAGR", "Sharpe", "90 % CI", "drawdown", "trades", "difference", "90 % CI")
    shown = ("cagr", "sharpe", "sharpe_interval", "max_drawdown", "trades")
    rows = []
    for row in (*found.rows, *(() if found.hold is None else (found.hold,))):
        texts = figure_texts(row)
        rows.append((row.name, *(texts[name] for name in shown), *difference_texts(row)))
    print_table(out, header, rows)
    for sentence in found.sentences:
        say(out, sentence)
    if found.settings:
        names = [one.name for one in found.contenders]
        keys = [
            (key, *(one.settings.get(key, "not set") for one in found.contenders))
            for key in found.settings
        ]
        print_table(out, ("set differently", *names), keys)
    say(out, f"page: {page}", style="bold")


def say(out: Console, text: str, *, style: str | None = None) -> None:
    """One line, never broken: the terminal wraps it, a pipe keeps it whole."""
    out.print(text, style=style, soft_wrap=True)


def print_table(out: Console, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table without lines, its first column to the left."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def print_download(done: Download) -> None:
    """What a download did: bars, their span, holes, the folder, and how to use them."""
    out, store = console(), done.store
    say(
        out,
        f"{store.exchange} {store.symbol} {store.timeframe}: {_count(done.added, 'new bar')} · "
        f"{done.bars:,} stored, {done.first:%Y-%m-%d %H:%M} to {done.last:%Y-%m-%d %H:%M} UTC · "
        f"{_count(len(done.holes), 'hole')} "
        f"({_count(sum(hole.missing for hole in done.holes), 'bar')})",
    )
    say(out, f"  {done.times}")
    for hole in sorted(done.holes, key=lambda hole: -hole.missing)[:HOLES_SHOWN]:
        say(out, f"  {hole.text}")
    if len(done.holes) > HOLES_SHOWN:
        say(out, f"  and {len(done.holes) - HOLES_SHOWN} that are not longer; --json has them all")
    for note in done.notes:
        say(out, note)
    say(out, f"folder: {store.folder}")
    say(out, f"use it: {store.usage}")
    if done.instrument:
        say(
            out,
            f"what {store.exchange} says of it, for the strategy file (no run follows it else):",
        )
        say(out, done.instrument_text)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
