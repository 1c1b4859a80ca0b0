"""`convnext-vbt live`: a session that goes on, printed close by close."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnext_vbt.cli.completion import run_directories
from convnext_vbt.cli.exits import exit_codes

if TYPE_CHECKING:
    from convnext_vbt.live.journal import Close


def live(
    directory: Annotated[
        Path,
        typer.Argument(help="A run directory.", show_default=False, autocompletion=run_directories),
    ],
    journal: Annotated[
        Path | None,
        typer.Option(help="SQLite file of all that happens; default: live.sqlite in the run."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Fresh bars, as for `signal`; default: the run's own source."),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option(help="The run's name for the symbol of --data.")
    ] = None,
    equity: Annotated[
        float | None,
        typer.Option(help="Money to begin with; default: the strategy's init_cash."),
    ] = None,
    lot: Annotated[float | None, typer.Option(help="Decided sizes are multiples of it.")] = None,
    tick: Annotated[float | None, typer.Option(help="Decided prices are multiples of it.")] = None,
    min_notional: Annotated[float | None, typer.Option(help="Least worth of an entry.")] = None,
    fills: Annotated[
        Path | None,
        typer.Option(help="What really happened: a CSV, or ccxt's own list of trades."),
    ] = None,
    deposit: Annotated[
        float | None,
        typer.Option(metavar="AMOUNT", help="Book money that came now, once, and end."),
    ] = None,
    withdraw: Annotated[
        float | None,
        typer.Option(metavar="AMOUNT", help="Book money that went now, once, and end."),
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Is run with one JSON line for each decision."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Page that is written at the end; default: live.html in the run."),
    ] = None,
    rehearse: Annotated[
        int | None,
        typer.Option(metavar="N", help="Play the last N stored closes as if they came now."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Decide what is due, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Decide at every close, book a shadow account, go on where it stopped; sends no order."""
    with exit_codes("What is booked stays; the same command goes on from there."):
        from convnext_vbt.live.account import Limits
        from convnext_vbt.live.running import live_session

        if deposit is not None or withdraw is not None:
            _move(directory, journal, deposit, withdraw)
            return
        name = "live.html" if rehearse is None else "rehearsal.html"
        closes = live_session(
            directory, journal=journal, source=data or [], symbol=symbol, equity=equity,
            limits=Limits(lot=lot, tick=tick, min_notional=min_notional), fills=fills,
            notify=notify, page=page or directory / name, unless_idle=page is None,
            rehearse=rehearse, once=once,
            say=lambda line: typer.echo(line, err=True),
        )  # fmt: skip
        with contextlib.closing(closes):
            for close, notes in closes:
                typer.echo(_json(directory, close, notes) if as_json else _text(close, notes))
                sys.stdout.flush()


def _move(
    directory: Path, journal: Path | None, deposit: float | None, withdraw: float | None
) -> None:
    from convnext_vbt.errors import ConfigError
    from convnext_vbt.live.moving import move_money

    if deposit is not None and withdraw is not None:
        raise ConfigError("--deposit and --withdraw are two bookings; give one, then the other")
    name, amount = ("deposit", deposit) if withdraw is None else ("withdraw", withdraw)
    if amount is None or not amount > 0:
        raise ConfigError(f"--{name} must be a positive amount, got {amount:g}")
    signed = amount if withdraw is None else -amount
    typer.echo(move_money(directory, signed, journal=journal))


def _json(directory: Path, close: Close, notes: list[str]) -> str:
    from convnext_vbt.live.running import event_of

    return json.dumps(event_of(directory.resolve().name, close) | {"notes": notes})


def _text(close: Close, notes: list[str]) -> str:
    from convnext_vbt.live.text import close_lines

    return "\n".join(close_lines(close, notes))
