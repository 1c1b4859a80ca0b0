"""A live session that goes on: every close decided, booked in the shadow account, journaled.

A close is decided once. Those that were missed are decided in their order when the session is
started again, and marked late. Nothing ever sends an order.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from convnext_vbt.errors import (
    ConfigError,
    ConvnextVbtError,
    DataError,
    NetworkTooOldError,
    NoPredictionError,
)
from convnext_vbt.live.account import Account, Limits, Resting
from convnext_vbt.live.clock import check_fresh, stale_from, utc_now, when
from convnext_vbt.live.decision import decide_with_row
from convnext_vbt.live.fills import Fill, inverse_of, read_fills, real_account
from convnext_vbt.live.journal import NAMES, Close, Journal, facts_of, open_journal
from convnext_vbt.live.notify import Notify, notifier
from convnext_vbt.live.retrain import Training, is_unfinished, refuse_retraining
from convnext_vbt.live.row import Row
from convnext_vbt.live.session import Session, open_session
from convnext_vbt.live.shadow import Shadow, State, bars_before, seen_of
from convnext_vbt.live.text import to_dict
from convnext_vbt.live.trained import difference_from_backtest, open_trained
from convnext_vbt.live.transfers import Transfer, read_transfers
from convnext_vbt.live.watch import LONGEST_OUTAGE_PAUSE, LONGEST_PAUSE, SETTLE, due
from convnext_vbt.live.working import after, of_fills, of_shadow
from convnext_vbt.market.bars import Bars

Booked = tuple[Close, list[str]]
"""A close that was just booked, and notes on the bars."""


@dataclass(slots=True, kw_only=True, eq=False)
class Running:
    """A session at work on its journal; see `live_session`."""

    session: Session
    journal: Journal
    shadow: Shadow
    training: Training
    notify: Notify | None
    say: Callable[[str], None]
    clock: Callable[[], pd.Timestamp]
    sleep: Callable[[float], None]
    fills: list[Fill] = field(default_factory=list)
    working: dict[str, Resting] = field(default_factory=dict)
    """Entries by limit that rest after the last close, as they were told."""
    booked: int = 0
    """Closes, by this process."""
    difference: float | None = None
    """Of the probabilities from the backtest's, when the session was started."""

    def go_on(self, *, once: bool) -> Iterator[Booked]:
        """What is due at once, then every close until it is interrupted."""
        self.session.feeds.fetch()
        now = self.clock()
        bars, notes = self.session.bars(now)
        if self.journal.last is None:
            check_fresh(bars, now)
        self._first_due(bars, otherwise=0)
        self._begin(bars)
        while True:
            try:
                for close in self.due(bars):
                    yield close, notes
            except NetworkTooOldError as error:
                self._train_next(error, bars)
                if once:
                    self._take_next()
                    continue
            if once:
                check_fresh(bars, now)
                if not self.booked:
                    self.say(f"nothing is due: the bar of {when(bars.index[-1])} is decided")
                return
            bars, notes = self._later(bars)

    def rehearse(self, num_closes: int) -> Iterator[Booked]:
        """The last stored closes, as if each came now."""
        bars, notes = self.session.bars(self.clock(), replay=True)
        if not 0 < num_closes < len(bars):
            raise ConfigError(
                f"--rehearse {num_closes}: there are {len(bars):,} closes; give a number from 1 to "
                f"{len(bars) - 1}"
            )
        first = self._first_due(bars, otherwise=len(bars) - num_closes)
        if first == len(bars):
            raise DataError(
                f"all closes up to {when(bars.index[-1])} are in {self.journal.path} already; "
                "remove it, or give --journal another file, to rehearse anew"
            )
        self._begin(bars.rows(0, first + 1))
        for row in range(first, len(bars)):
            now = bars.index[row] + bars.step + SETTLE
            yield self.decide(bars.rows(0, row + 1), late=False, now=now), notes

    def due(self, bars: Bars) -> Iterator[Close]:
        """The closes that are not booked yet, in their order; at first the last one alone."""
        for row in range(self._first_due(bars, otherwise=len(bars) - 1), len(bars)):
            now = self.clock()
            late = row + 1 < len(bars) or now >= stale_from(bars)
            yield self.decide(bars.rows(0, row + 1), late=late, now=now)

    def decide(self, bars: Bars, *, late: bool, now: pd.Timestamp) -> Close:
        """Decide at the close of the last of these bars, and book it."""
        bar, seen = bars.index[-1], seen_of(bars)
        is_first = not self.shadow.times
        new = [] if is_first else self._new_transfers(bar + bars.step)
        moved = sum(one.amount for one in new)
        state = self.shadow.at(bar, seen, moved)
        account, refused = self._account(state, bars), ""
        try:
            decisions, row = decide_with_row(
                self.session.trained,
                bars,
                account,
                limits=self.session.limits,
                difference=self.difference,
            )
        except NoPredictionError as error:
            if is_first or len(bars.symbols) == 1:
                raise  # more history mends it; beside others a young symbol just says nothing
            decisions, row, refused = None, Row.nothing(len(bars.symbols)), str(error)
        close = Close(
            bar=bar, seen=seen, row=row, state=state, decisions=decisions, refused=refused,
            late=late, decided_at=now, working=after(decisions, account.resting, row, bars),
            moved=moved, counted=tuple(one.key for one in new),
            before=bars_before(bars) if is_first else None,
        )  # fmt: skip
        event = event_of(self.session.trained.directory.name, close)
        due = self.journal.book(close, bars.symbols, event if self.notify else None)
        if close.before is not None:
            self.shadow.begin(*close.before)
        self.shadow.add(bar, seen, row, moved)
        self.working = dict(close.working)
        self.booked += 1
        self._tell(due)
        return close

    def tell_again(self) -> None:
        """Tell what was due when a session was killed, before anything new."""
        missed = self.journal.due() if self.notify else []
        if missed:
            self.say(f"{len(missed):,} notification(s) may not have been heard: told again")
        for event in missed:
            self._tell(event, repeat=True)

    def _tell(self, event: Mapping[str, Any] | None, *, repeat: bool = False) -> None:
        if event is not None and self.notify and self.notify({**event, "repeat": repeat}):
            self.journal.told(int(event["notice"]))

    def _new_transfers(self, known: pd.Timestamp) -> list[Transfer]:
        """Money that no close has counted yet, of that which is known by now."""
        begun = self._begun()
        new = self.journal.transfers(new=True)
        return [one for one in new if begun is not None and begun <= one.time <= known]

    def _begun(self) -> pd.Timestamp | None:
        """The session's first close."""
        return self.shadow.times[0] + self.shadow.step if self.shadow.times else None

    def refuse(self, why: str) -> None:
        """Tell why nothing is decided; the session goes on."""
        self.say(why)
        run = self.session.trained.directory.name
        event = {"event": "refusal", "run": run, "reason": why, "at": self.clock().isoformat()}
        self._tell(self.journal.note(event) if self.notify else None)

    def write_page(self, page: Path) -> None:
        """Lay the session over the backtest; what stands in the way is told, and is no error."""
        from convnext_vbt.live.review import write_review

        folder, lot = self.session.trained.directory, self.session.limits.lot
        try:
            lines = write_review(folder, self.journal, page, lot=lot)
        except ConvnextVbtError as error:
            lines = [f"{page} is not written: {error}"]
        for line in lines:
            self.say(line)

    def _account(self, state: State, bars: Bars) -> Account:
        """What the decision is sized for: what really happened, where it was told."""
        if self.fills:
            return self._real_account(state, bars)
        if not state.equity > 0:
            raise DataError(
                f"the shadow account is ruined at {when(bars.index[-1])}: its equity is "
                f"{state.equity:,.2f}; there is nothing left to decide"
            )
        resting, told = of_shadow(state, self.working)
        return Account(equity=state.equity, held=state.held, resting=resting, told=told)

    def _real_account(self, state: State, bars: Bars) -> Account:
        known, begun = bars.index[-1] + bars.step, self._begun()
        moved = sum(
            one.amount
            for one in self.journal.transfers()
            if begun is not None and begun <= one.time <= known
        )
        cash = float(self.shadow.trading.init_cash)
        account = real_account(
            self.fills, bars, equity=cash, stops=state.held, moved=moved,
            inverse=inverse_of(bars.symbols, self.shadow.trading.instruments),
        )  # fmt: skip
        resting, told = of_fills(self.working, bars, self.shadow, account.held)
        return replace(account, resting=resting, told=told)

    def _first_due(self, bars: Bars, *, otherwise: int) -> int:
        """The row of the first close that is not booked; raises `DataError` for older bars."""
        last = self.journal.last
        if last is None:
            return otherwise
        if last > bars.index[-1]:
            raise DataError(
                f"{self.journal.path} has decided up to {when(last)}, these bars end at "
                f"{when(bars.index[-1])}; give --data that goes on, or --journal another file"
            )
        return int(bars.index.searchsorted(last, side="right"))

    def _begin(self, bars: Bars) -> None:
        """Raise `DataError` for bars that are not the backtest's; leave out what came before."""
        self.difference = difference_from_backtest(self.session.trained, bars)
        begun = (self.shadow.times[0] if self.shadow.times else bars.index[-1]) + bars.step
        if early := sum(fill.time < begun for fill in self.fills):
            self.say(
                f"{early:,} fill(s) before {when(begun)}, the session's first decision, are none "
                "of its account's: left out"
            )
            self.fills = [fill for fill in self.fills if fill.time >= begun]
        if early := sum(one.time < begun for one in self.journal.transfers(new=True)):
            self.say(
                f"{early:,} deposit(s) or withdrawal(s) before {when(begun)} are in the money that "
                "the session began with: left out"
            )

    def _train_next(self, error: NetworkTooOldError, bars: Bars) -> None:
        """Have the next network trained, or tell why that cannot be."""
        if self.training.is_running:
            return
        trained, session = self.session.trained, self.session
        try:
            refuse_retraining(
                trained.directory, trained.config, session.source, self.clock(),
                renamed=session.symbol is not None,
            )  # fmt: skip
        except DataError as why:
            raise DataError(f"{error}; {why}") from error
        if trained.predictions.index[-1] >= bars.index[-1]:  # it was, and is still too old
            raise error
        self.refuse(
            f"the network is too old at {when(bars.index[-1])}: the next one is being trained, "
            "and the closes until then are decided when it is there"
        )
        self.training.start()

    def _take_next(self) -> None:
        """Wait for the next network, and go on with it; raises `DataError` where it failed."""
        self.training.finish()
        trained = open_trained(self.session.trained.directory)
        self.session = replace(self.session, trained=trained)
        self.say("the next network is trained; going on with it")

    def _later(self, last: Bars) -> tuple[Bars, list[str]]:
        """The bars once there is a later one, or the next network is trained.

        Why one is late is told once; that it is overdue is a refusal, and no end.
        """
        was_training, told, pause = self.training.is_running, "", pd.Timedelta(0)
        self._sleep(due(last) - self.clock(), was_training)
        while True:
            if was_training and not self.training.is_running:
                was_training = False
                try:
                    self._take_next()
                    return self.session.bars(self.clock())
                except DataError as error:  # tried again at the next close
                    self.refuse(str(error))
            answered = self.session.feeds.fetch()
            now = self.clock()
            problem, is_overdue = "", now >= stale_from(last) + last.step
            try:
                bars, notes = self.session.bars(now)
                if bars.index[-1] > last.index[-1]:
                    return bars, notes
                problem = f"waiting for the bar after {when(last.index[-1])}"
                if is_overdue:
                    problem += ", which is overdue: nothing is decided on stale bars"
            except DataError as error:
                problem = f"{error}; trying again"
            if problem != told:
                (self.refuse if is_overdue else self.say)(problem)
                told = problem
            pause = min(LONGEST_PAUSE if answered else LONGEST_OUTAGE_PAUSE, last.step / 10)
            self._sleep(pause, was_training)

    def _sleep(self, pause: pd.Timedelta, is_training: bool) -> None:
        """Sleep so long, or until a training has ended."""
        seconds = max(pause.total_seconds(), 0.0)
        while is_training and seconds > 1.0 and self.training.is_running:
            self.sleep(1.0)
            seconds -= 1.0
        if not is_training or self.training.is_running:
            self.sleep(seconds)


def live_session(
    directory: str | Path,
    *,
    journal: str | Path | None = None,
    source: Sequence[str] = (),
    symbol: str | None = None,
    equity: float | None = None,
    limits: Limits | None = None,
    fills: str | Path | None = None,
    notify: str | None = None,
    page: str | Path | None = None,
    unless_idle: bool = False,
    rehearse: int | None = None,
    once: bool = False,
    say: Callable[[str], None] = lambda _: None,
    clock: Callable[[], pd.Timestamp] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[Booked, None, None]:
    """Every close of a live session as soon as it is decided and booked, with notes on the bars.

    `journal` is a SQLite file, by default live.sqlite in the run directory; all that a session
    knows is in it, and nothing is decided twice. `equity` is what the account begins with: the
    strategy's initial cash, or what the journal says. With `fills`, a file of what really
    happened, decisions are sized on that account; they are remembered too. `notify` is a command
    that is run with one JSON line on its stdin for every decision and refusal. `page` is a file
    that is written at the end, however it comes: the session laid over the backtest; with
    `unless_idle` only if a close was booked. `rehearse` plays so many stored closes as if they came
    now, into rehearsal.sqlite; `once` decides what is due and ends. `say` hears of what is fetched
    and waited for.

    Raises `DataError` and `ConfigError` for what cannot be gone on with; the journal is whole
    whatever happens, and no order is ever sent.
    """
    folder = Path(directory)
    path = folder / NAMES[rehearse is not None] if journal is None else Path(journal)
    hear = notifier(notify)
    with contextlib.ExitStack() as stack:
        book = stack.enter_context(open_journal(path))
        training = Training(directory=folder)
        stack.callback(training.stop)
        if book.last is not None and is_unfinished(folder):
            say("the next network was being trained: going on with that first")
            training.start()
            training.finish()
        said = None if book.last is None else book.fact("equity")
        begun = float(said) if equity is None and said is not None else equity
        session = open_session(
            folder, source=source, symbol=symbol, equity=begun, limits=limits, notify=say
        )
        _bind(book, session, kind="rehearsal" if rehearse is not None else "live")
        running = Running(
            session=session, journal=book, shadow=_shadow(session, book), training=training,
            notify=hear, say=say, clock=clock, sleep=sleep,
        )  # fmt: skip
        running.fills = _fills(running, fills)
        running.working = book.working()
        running.tell_again()
        try:
            yield from running.go_on(once=once) if rehearse is None else running.rehearse(rehearse)
        finally:
            if page is not None and (running.booked or not unless_idle):
                running.write_page(Path(page))


def event_of(run: str, close: Close) -> dict[str, Any]:
    """A booked close in JSON's own types, as a hook hears of it."""
    facts: dict[str, Any] = {
        "event": "decision" if close.decisions is not None else "refusal",
        "run": run,
        "bar": close.bar.isoformat(),
        "late": close.late,
        "at": close.decided_at.isoformat(),
        "decided_at": close.decided_at.isoformat(),
        "shadow_equity": close.state.equity,
        "moved": close.moved,
    }
    if close.decisions is None:
        return facts | {"reason": close.refused}
    return facts | to_dict(close.decisions)


def _bind(book: Journal, session: Session, *, kind: str) -> None:
    config = session.trained.config
    book.bind(
        facts_of(
            run=f"{config.name}-{config.id8}",
            config=config.sha256,
            symbols=session.trained.predictions.symbols,
            equity=session.account.equity,
            kind=kind,
        )
    )


def _shadow(session: Session, book: Journal) -> Shadow:
    """The shadow account as the journal has it; a new one learns what market it is of."""
    if book.fact("days per year") is None:
        bars, _ = session.bars(utc_now(), replay=True)
        days, closing = str(bars.days_per_year), json.dumps(bars.closes.tolist())
        book.bind({"step": str(bars.step.value), "days per year": days, "closing": closing})
    return book.shadow(session.trained.config.trading)


def _fills(running: Running, path: str | Path | None) -> list[Fill]:
    """All fills that were ever told of, those of the file among them; its transfers too."""
    if path is not None:
        symbols, now = running.session.trained.predictions.symbols, running.clock()
        inverse = inverse_of(symbols, running.shadow.trading.instruments)
        found = read_fills(Path(path), symbols, now, inverse=inverse)
        money = read_transfers(Path(path), now)
        added, moved = running.journal.add_fills(found), running.journal.add_transfers(money)
        running.say(f"{path}: {added:,} new fill(s), {len(found) - added:,} known already")
        if money:
            running.say(
                f"{path}: {moved:,} new deposit(s) and withdrawal(s), {len(money) - moved:,} known "
                "already"
            )
    return running.journal.fills()
