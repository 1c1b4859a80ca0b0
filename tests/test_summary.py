import time
import warnings
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import convnext_vbt as cv
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.runs.config import load_config
from convnext_vbt.summary import Summary, listed, number, span
from tests.strategies import write_tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("summary")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few trades
        return cv.run(load_config(write_tiny(folder)), out=folder, jobs=1)


class Table(HTMLParser):
    """The cells of a table, and the tags and attributes that it is made of."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.tags, self.attributes = [], set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(attrs)

    def handle_data(self, data):
        self.cells.append(data)


def rows(value):
    """The rows of a repr by their label; a label that comes twice keeps its last."""
    lines = str(repr(value)).splitlines()[1:]
    return {line[2:].split("  ")[0]: line[2:].split("  ", 1)[1].strip() for line in lines}


def results(run):
    bars, preds = run.result.bars, run.predictions
    assessment = assess(run.result, draws=20)
    signals = run.result.signals
    labels = cv.barrier_labels(bars, horizon=preds.target.horizon)
    return [
        bars, preds, labels, signals, run.result, assessment.headline, assessment.verdict,
        assessment, run, cv.open_run(run.directory),
    ]  # fmt: skip


def test_every_result_is_short_in_a_prompt_and_a_plain_table_in_a_notebook(run):
    for value in results(run):
        lines = repr(value).splitlines()
        assert 1 <= len(lines) <= 8, type(value)
        assert max(map(len, lines)) <= 110, (type(value), lines)
        table = Table(value._repr_html_())
        assert table.tags == {"table", "caption", "b", "tr", "th", "td"}, "no asset, no script"
        assert {name for name, _ in table.attributes} == {"style"}
        assert "color:inherit" in value._repr_html_()  # the theme's own
        assert "background" not in value._repr_html_()
        if value is not run.result.bars:  # one line in a log, a table in a notebook
            assert table.cells[0] == lines[0]
            assert set(rows(value).values()) <= set(table.cells)


def test_what_is_said_is_what_pandas_finds(run):
    preds, result = run.predictions, run.result
    up = preds.prob_up.to_numpy()
    said = rows(preds)
    assert said["out of sample"] == f"{np.isfinite(up).sum()} of 1,200 bars"
    assert said["mean"].startswith(f"UP {np.nanmean(up):.0%} · STAY")
    told = preds.prob_up.dropna().index
    assert said["from, to"] == f"{told[0]:%Y-%m-%d %H:%M} to {told[-1]:%Y-%m-%d %H:%M} UTC"
    losses = [fit.valid_loss for fit in preds.fits]
    assert said["loss"].startswith(f"{np.mean(losses):.4f} out of fold")
    signals = result.signals
    assert rows(signals)["entries"] == (
        f"{signals.entries.sum()} long · {signals.short_entries.sum()} short, in all columns"
    )
    said = rows(result)
    sharpe = result.metrics["sharpe"]
    assert said["cells"] == "2 threshold x 2 risk"
    assert said["Sharpe ratio"].startswith(f"{sharpe.median():.2f} a year in the median cell, ")
    assert f", {sharpe.min():.2f} to {sharpe.max():.2f}," in said["Sharpe ratio"]
    assert said["gained"] == f"{(result.metrics['total_return'] > 0).sum()} of 4 cells"


def test_an_opened_run_says_what_the_run_said_and_labels_are_counted(run):
    assert repr(cv.open_run(run.directory)) == repr(run)
    labels = cv.barrier_labels(run.result.bars, horizon=6)
    shares = pd.Series(labels.values.ravel()).replace(-1, np.nan).value_counts(normalize=True)
    assert rows(labels)["shares"] == (
        f"UP {shares[2]:.0%} · STAY {shares[1]:.0%} · DOWN {shares[0]:.0%}"
    )
    assert rows(labels)["labelled"].startswith(
        f"{(labels.values >= 0).sum():,} of {len(labels.values):,} bars"
    )


def test_a_headline_and_a_run_say_the_same_of_the_same_account(run):
    head = cv.headline(run.result, initial="q0.50", risk=run.config.trading.risk)
    assert f"{head.total_return:+.1%} in {head.num_days} days" in rows(head)["return"]
    assert f"({head.cagr:+.1%} a year)" in rows(head)["return"]
    assert rows(head)["Sharpe ratio"] == (
        f"{head.sharpe:.2f} a year, 90 % CI {head.sharpe_low:.2f} to {head.sharpe_high:.2f}"
    )
    figures = run.metrics["headline"]
    assert f"{figures['sharpe']:.2f} a year" in rows(run)["Sharpe ratio"]
    assert repr(run).splitlines()[0] == f"{run.directory.name}: {run.metrics['verdict']['word']}"
    assert rows(run)["report"] == str(run.report)
    undefined = replace(head, sharpe=np.nan, sharpe_low=np.nan, trades=0)
    assert "n/a a year, 90 % CI n/a to" in repr(undefined)
    assert repr(head).startswith(
        "Headline, each split by a rule chosen by the splits before it, net of"
    )
    fixed = replace(head, selection=replace(head.selection, how="fixed"))
    assert repr(fixed).startswith("Headline, one fixed rule, chosen by you, net of costs")


def test_a_verdict_counts_what_is_met_and_names_what_is_not(run):
    found = assess(run.result, draws=20)
    against = [reason.text for reason in found.verdict.reasons if not reason.ok]
    assert len(against) > 5
    met, total = len(found.verdict.reasons) - len(against), len(found.verdict.reasons)
    assert rows(found.verdict)["conditions"] == f"{met} of {total} met"
    said = repr(found.verdict).splitlines()
    assert [line.split("  ")[-1].strip() for line in said[2:]] == [
        *against[:5],
        f"{len(against) - 5} more",
    ]
    assert repr(found).splitlines()[0] == f"Verdict: {found.verdict.word}"
    assert f"{len(against) - 1} more" in repr(found)


def test_bars_say_what_is_missing_and_what_else_there_is():
    index = pd.date_range("2024-01-01", periods=4, freq="h", tz="UTC")
    names = [f"S{number}/USDT" for number in range(40)]
    frame = pd.DataFrame({"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}, index)
    late = frame.iloc[1:].drop(columns="volume").assign(volume=np.nan)
    bars = cv.Bars.from_frames({name: late if name == names[-1] else frame for name in names})
    assert repr(bars) == (
        "Bars(S0/USDT, S1/USDT, S2/USDT and 37 more: 4 bars of 1h, "
        "2024-01-01 00:00 to 2024-01-01 03:00 UTC)"
    )
    cells = Table(bars._repr_html_()).cells
    assert "4 of 1h, 1 missing" in cells
    assert "volume of 39 symbols" in cells


def test_text_is_escaped_and_undefined_is_said():
    summary = Summary("<b>&", (("a<b", "<script>alert(1)</script>"),))
    assert Table(summary.html()).tags == {"table", "caption", "b", "tr", "th", "td"}
    assert "&lt;script&gt;" in summary.html()
    assert [number(value, "{:.1f}") for value in (None, np.nan, 1.25)] == ["n/a", "n/a", "1.2"]
    assert listed("abc") == "a, b, c"
    assert span(pd.DatetimeIndex([])) == "no bars"


def test_a_million_predictions_are_told_in_a_blink():
    index = pd.date_range("2000-01-01", periods=200_000, freq="min", tz="UTC")
    shape = (len(index), 5)
    preds = cv.Predictions(
        index=index,
        symbols=tuple("ABCDE"),
        proba=np.full((*shape, 3), 1 / 3, dtype=np.float32),
        split=np.zeros(shape),
    )
    start = time.process_time()
    assert len(repr(preds).splitlines()) <= 8
    assert time.process_time() - start < 0.5
