"""Every figure of the page against a second opinion: orders.parquet and bars, in plain pandas."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from convnext_vbt.evidence.cells import Grid
from convnext_vbt.evidence.ledger import Trials
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.report.formats import FIGURE, format_interval, format_number
from convnext_vbt.report.page import render
from tests.report.ledger import (
    YEAR_DAYS,
    Ledger,
    barrier_labels,
    luck,
    overfitting,
    sharpe_interval,
)
from tests.report.markets import Page, make_bars, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")
TRIALS = Trials(num_runs=3, num_rules=20, variance=0.002)
RULES = ["q0.10", "q0.30", "q0.50", "q0.70", "q0.90"]
RISKS = [0.005, 0.02]
FIXED = {"threshold": "q0.70", "risk": 0.02}
CENT, DRAWN = 0.0051, 5.1e-5
"""What the page rounds money and drawn lines to, halved."""
COMPARED = (
    "total_return", "cagr", "log_growth", "volatility", "sharpe", "sortino", "calmar",
    "max_drawdown", "longest_drawdown", "exposure", "turnover", "trades", "win_rate",
    "profit_factor", "mean_trade", "costs", "break_even", "psr",
)  # fmt: skip


@pytest.fixture(scope="module")
def res():
    return make_sweep(bars=make_bars(bars=4_000), splits=3, threshold=RULES, risk=RISKS)


@pytest.fixture(scope="module")
def assessment(res):
    return assess(res, preset=Preset(risk=0.02), trials=TRIALS, draws=99)


@pytest.fixture(scope="module")
def page(res, assessment):
    return Page.read(render(res, selected=FIXED, provenance={}, assessment=assessment))


@pytest.fixture(scope="module")
def bars(res):
    """The traded window's bars."""
    window = res.window_bars
    names = ("open", "high", "low", "close")
    return pd.DataFrame({name: getattr(window, name)[:, 0] for name in names}, window.index)


@pytest.fixture(scope="module")
def books(res, bars, tmp_path_factory):
    """A ledger of every cell, from the orders as they lie on disk."""
    folder = tmp_path_factory.mktemp("orders")
    out = {}
    for rule in RULES:
        for risk in RISKS:
            path = folder / "orders.parquet"
            res.simulation(threshold=rule, risk=risk).orders_frame().to_parquet(path)
            out[rule, risk] = Ledger(pd.read_parquet(path), bars)
    return out


@pytest.fixture(scope="module")
def head(assessment, bars, tmp_path_factory):
    path = tmp_path_factory.mktemp("headline") / "orders.parquet"
    assessment.headline.selection.simulation.orders_frame().to_parquet(path)
    return Ledger(pd.read_parquet(path), bars)


@pytest.fixture(scope="module")
def accounts(page, books, head):
    """What the page carries of each account, beside its ledger."""
    cells = [(page.data["series"][k], book) for k, book in enumerate(books.values())]
    return [(page.data["headline"], head), *cells]


def ranges(res):
    start = res.window[0]
    return [(split.test[0] - start, split.test[1] - start) for split in res.predictions.splits]


def rows_of(page, label):
    """The texts of a table's body, by the label of its box."""
    table = page.text[page.text.index(f'aria-label="{label}"') :].partition("</table>")[0]
    body = table.partition("<tbody>")[2]
    lines = [re.findall(r"<t[dh][^>]*>([^<]*)", row) for row in body.split("</tr>")]
    return [line for line in lines if line]


def column(page, name, css):
    row = re.search(rf'<tr data-figure="{name}">(.*?)</tr>', page.text, re.DOTALL).group(1)
    return re.search(rf'<td class="{css}">([^<]*)</td>', row).group(1)


def test_key_figures_of_every_cell(page, books):
    for name in COMPARED:
        shown = page.array(page.data["metrics"][name])
        wanted = [book.figures()[name] for book in books.values()]
        np.testing.assert_allclose(shown, wanted, rtol=1e-9, atol=1e-12, err_msg=name)
    wanted = [book.sharpe_probability(20, 0.002) for book in books.values()]
    np.testing.assert_allclose(page.array(page.data["metrics"]["dsr"]), wanted, rtol=1e-9)


def test_key_figures_of_the_headline_and_the_strategy_file(page, books, head):
    own = books[FIXED["threshold"], FIXED["risk"]]
    for css, book, trials, variance in (
        ("headline", head, 3, 1 / len(head.daily())),
        ("fixed", own, 20, 0.002),
        ("chosen", own, 20, 0.002),
    ):
        figures = book.figures() | {"dsr": book.sharpe_probability(trials, variance)}
        for name, value in figures.items():
            assert column(page, name, css) == format_number(value, FIGURE[name].kind), (css, name)
    low, high = sharpe_interval(head.day_returns())
    assert column(page, "sharpe_interval", "headline") == format_interval(low, high)


def test_buy_and_hold(page, bars):
    price = bars["open"].iloc[1] * (1 + 0.0002)
    units = 10_000 / price / (1 + 0.0005)
    orders = pd.DataFrame(
        {"timestamp": bars.index[1:2], "side": "Buy", "size": units, "price": price,
         "fees": units * price * 0.0005}
    )  # fmt: skip
    book = Ledger(orders, bars)
    figures = book.figures()
    traded = ("win_rate", "profit_factor", "mean_trade")  # of closed trades, and it never sells
    assert [column(page, name, "hold") for name in traded] == ["n/a"] * 3
    assert column(page, "break_even", "hold") == "–"  # speaks of rules that trade
    for name in set(figures) - {*traded, "break_even"}:
        assert column(page, name, "hold") == format_number(figures[name], FIGURE[name].kind), name
    returns = book.day_returns()
    drawn = page.array(page.data["holds"][0]["net"]["growth"])
    np.testing.assert_allclose(drawn, book.daily(), atol=DRAWN)
    roll = returns.rolling(90).mean() / returns.rolling(90).std() * YEAR_DAYS**0.5
    np.testing.assert_allclose(page.array(page.data["holds"][0]["rolling"]), roll, atol=0.0051)


def test_daily_lines_net_and_gross(page, accounts):
    assert page.array(page.data["days"]).tolist() == [
        day.days for day in accounts[0][1].daily().index - pd.Timestamp("1970-01-01", tz="UTC")
    ]
    for series, book in accounts:
        for costs, equity in (("net", book.equity), ("gross", book.gross_equity)):
            below = book.underwater(equity)
            deepest = below.groupby(below.index.normalize()).min()
            np.testing.assert_allclose(
                page.array(series[costs]["growth"]), book.daily(equity), atol=DRAWN
            )
            np.testing.assert_allclose(page.array(series[costs]["underwater"]), deepest, atol=DRAWN)
        gross = book.figures(gross=True)
        wanted = [gross[name] for name in page.data["gross_figures"]]
        np.testing.assert_allclose(page.array(series["gross"]["figures"]), wanted, rtol=1e-9)


def test_rolling_sharpe_months_and_drawdowns(page, accounts):
    for series, book in accounts:
        returns = book.day_returns()
        roll = returns.rolling(90).mean() / returns.rolling(90).std() * YEAR_DAYS**0.5
        assert roll.notna().sum() > 30
        np.testing.assert_allclose(page.array(series["rolling"]), roll, atol=0.0051)
        month = book.equity.groupby(book.equity.index.strftime("%Y-%m")).last()
        gains = month / month.shift(fill_value=book.cash) - 1
        np.testing.assert_allclose(page.array(series["monthly"]), gains, rtol=1e-5)
        numbers = [f"{1970 + m // 12}-{m % 12 + 1:02d}" for m in page.array(page.data["months"])]
        assert numbers == list(gains.index)
        worst = book.falls()[:10]
        shown = [page.array(series["drawdowns"][name]).tolist()
                 for name in ("peak", "trough", "end")]  # fmt: skip
        assert shown == [[fall[k] for fall in worst] for k in (1, 2, 3)]
        depth = page.array(series["drawdowns"]["depth"])
        np.testing.assert_allclose(depth, [fall[0] for fall in worst], rtol=1e-5)


def test_every_trade(page, accounts):
    for series, book in accounts:
        shown = {name: page.array(ref) for name, ref in series["trades"].items()}
        trades = book.trades
        assert shown["entry"].tolist() == trades["entry"].tolist()
        assert shown["exit"].tolist() == trades["exit"].tolist()
        assert shown["side"].tolist() == (trades["sign"] < 0).astype(int).tolist()
        assert (shown["reason"] == 0).tolist() == trades["open"].tolist()
        for name in ("entry_price", "exit_price"):
            np.testing.assert_array_equal(shown[name], trades[name])
        np.testing.assert_allclose(shown["size"], trades["size"], rtol=1e-6)
        np.testing.assert_allclose(shown["return"], trades["return"], rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(shown["profit"], trades["profit"], atol=CENT)
        np.testing.assert_allclose(shown["fees"], trades["fees"], atol=CENT)
        np.testing.assert_allclose(shown["share"], trades["share"], atol=DRAWN)
        for name in ("adverse", "favourable"):
            np.testing.assert_allclose(shown[name], trades[name], rtol=1e-5, atol=1e-7)


def test_histograms_of_trades(page, accounts):
    for series, book in accounts:
        held = book.trades["exit"] - book.trades["entry"]
        for name, values in (("return", book.trades["return"]), ("held", held)):
            edges = page.array(series["histograms"][name]["edges"])
            counts = page.array(series["histograms"][name]["counts"])
            inside = [((values >= a) & (values < b)).sum() for a, b in pairwise(edges)]
            inside[-1] += (values == edges[-1]).sum()
            assert counts.tolist() == inside
            assert counts.sum() == len(values)


def test_every_split(page, res, accounts):
    for series, book in accounts:
        found = [book.in_range(*span) for span in ranges(res)]
        for name, k in (("return", 0), ("drawdown", 1), ("trades", 2)):
            wanted = [each[k] for each in found]
            shown = page.array(series["splits"][name])
            np.testing.assert_allclose(shown, wanted, rtol=1e-5, atol=1e-7)
        sharpes = [each[3].mean() / each[3].std(ddof=1) * YEAR_DAYS**0.5 for each in found]
        np.testing.assert_allclose(page.array(series["splits"]["sharpe"]), sharpes, rtol=1e-5)
    for row, span in zip(rows_of(page, "Table of splits"), ranges(res), strict=True):
        gain, depth, trades, returns = accounts[0][1].in_range(*span)
        ratio = returns.mean() / returns.std(ddof=1) * YEAR_DAYS**0.5
        wanted = [format_number(gain, "percent"), format_number(depth, "percent")]
        assert row[4:8] == [*wanted, format_number(ratio, "ratio"), str(trades)]
        low, high = sharpe_interval(returns)
        assert f'muted">{format_interval(low, high)}</span>' in page.text


def test_the_price_and_the_fan(page, head, bars):
    np.testing.assert_allclose(page.array(page.data["prices"][0]), bars["close"], rtol=1e-6)
    from arch.bootstrap import StationaryBootstrap, optimal_block_length

    returns = head.day_returns().to_numpy()
    length = max(1.0, float(optimal_block_length(returns)["stationary"].iloc[0]))
    paths = [
        np.cumprod(1 + data[0][0])
        for data in StationaryBootstrap(length, returns, seed=0).bootstrap(1_000)
    ]
    for k, level in enumerate((0.05, 0.25, 0.5, 0.75, 0.95)):
        shown = page.array(page.data["fan"][str(k)])
        np.testing.assert_allclose(shown, np.quantile(paths, level, axis=0), rtol=1e-6)


def test_thresholds_and_the_plateau(page, books):
    ratio = page.array(page.data["metrics"]["rule_sharpe"])
    for k, (rule, _) in enumerate(books):
        returns = books[rule, RISKS[0]].day_returns()
        assert ratio[k] == pytest.approx(returns.mean() / returns.std() * YEAR_DAYS**0.5)
    for k in (0, 2, 4):
        low, high = sharpe_interval(books[RULES[k], RISKS[0]].day_returns())
        assert page.array(page.data["metrics"]["sharpe_low"])[2 * k] == pytest.approx(low)
        assert page.array(page.data["metrics"]["sharpe_high"])[2 * k] == pytest.approx(high)
    table = pd.Series({cell: book.figures()["sharpe"] for cell, book in books.items()}).unstack()
    solid = pd.Series({cell: len(book.trades) >= 30 for cell, book in books.items()}).unstack()
    i, j = np.unravel_index(int(np.nanargmax(table.where(solid))), table.shape)
    near = [
        table.iloc[a, b]
        for a in range(len(RULES)) for b in range(len(RISKS))
        if max(abs(a - i), abs(b - j)) == 1
    ]  # fmt: skip
    if table.iloc[i, j] > 0:
        score = format_number(np.median(near) / table.iloc[i, j], "ratio")
        assert f"Plateau score {score}," in page.data["plateaus"][0]
    else:
        assert "not above 0" in page.data["plateaus"][0]


@pytest.mark.slow
def test_overfitting_by_the_textbook(page, books):
    kept = [books[rule, RISKS[0]] for rule in RULES if len(books[rule, RISKS[0]].trades) >= 30]
    assert len(kept) >= 4
    pbo, ranks = overfitting(np.column_stack([book.day_returns() for book in kept]))
    assert f"<b>PBO {format_number(pbo, 'percent')}.</b>" in page.text
    shown = [float(row[1]) for row in rows_of(page, "Ranks as a table")]
    np.testing.assert_allclose(shown, ranks, atol=0.0051)


def test_deflated_sharpe_ratios(page, head):
    (own, _) = rows_of(page, "Deflated Sharpe ratios")
    days = len(head.daily())
    assert own[-5:] == [
        format_number(head.figures()["sharpe"], "ratio"), "3", f"{1 / days:.3g}",
        format_number(luck(3, 1 / days) * YEAR_DAYS**0.5, "ratio"),
        format_number(head.sharpe_probability(3, 1 / days), "probability"),
    ]  # fmt: skip


def test_one_times_the_costs_is_the_headline(page, head):
    rows = rows_of(page, "Table of costs")
    figures = head.figures()
    assert rows[1] == [
        "1 ×", "7 bp", *(format_number(figures[name], FIGURE[name].kind)
                         for name in ("cagr", "sharpe", "max_drawdown")),
    ]  # fmt: skip
    assert [row[1] for row in rows] == ["0 bp", "7 bp", "14 bp", "21 bp"]


@pytest.fixture(scope="module")
def judged(res):
    """Probabilities, labels and split of every bar that has all three; labels worked out anew."""
    whole = res.bars
    names = ("open", "high", "low", "close")
    frame = pd.DataFrame({name: getattr(whole, name)[:, 0] for name in names}, whole.index)
    labels = barrier_labels(frame)
    preds = res.predictions
    known = (preds.split[:, 0] >= 0) & (labels >= 0)
    proba = preds.proba[known, 0].astype(float)
    return proba / proba.sum(axis=1, keepdims=True), labels[known], preds.split[known, 0]


def test_scores_of_the_model(page, res, judged):
    proba, actual, number = judged
    said = proba.argmax(axis=1)
    counts = sk.confusion_matrix(actual, said, labels=[0, 1, 2])
    shown = [[int(t.replace(",", "")) for t in row[1:-1]] for row in
             rows_of(page, "Confusion matrix")]  # fmt: skip
    assert shown == counts.tolist()
    precision, recall, f1, _ = sk.precision_recall_fscore_support(actual, said, zero_division=0)
    for k, row in enumerate(rows_of(page, "Precision, recall and F1")):
        assert row[1:] == [f"{v[k]:.3f}" for v in (precision, recall, f1)]
    prior = np.array(res.predictions.fits[0].prior)
    usual = np.full(len(actual), prior.argmax())
    scores = {row[0]: row[1:] for row in rows_of(page, "Scores of the model")}
    assert scores["Accuracy"] == [
        f"{np.mean(said == actual):.3f}", f"{np.mean(usual == actual):.3f}"
    ]  # fmt: skip
    assert scores["Balanced accuracy"] == [
        f"{sk.balanced_accuracy_score(actual, said):.3f}", f"{1 / 3:.3f}"
    ]  # fmt: skip
    mcc = f"{sk.matthews_corrcoef(actual, said):.3f}".replace("-", "−")
    assert scores["Matthews correlation (MCC)"] == [mcc, "–"]
    every = np.broadcast_to(prior / prior.sum(), proba.shape)
    assert scores["Log-loss, nats per bar"] == [
        f"{sk.log_loss(actual, proba):.4f}", f"{sk.log_loss(actual, every):.4f}"
    ]  # fmt: skip
    brier = ((proba - np.eye(3)[actual]) ** 2).sum(axis=1).mean()
    assert scores["Brier score"][0] == f"{brier:.4f}"
    for row, k in zip(rows_of(page, "Scores of each split"), range(3), strict=True):
        own = number == k
        up = sk.roc_auc_score(actual[own] == 2, proba[own, 2])
        down = sk.roc_auc_score(actual[own] == 0, proba[own, 0])
        loss = sk.log_loss(actual[own], proba[own])
        assert row[1:3] == [f"{up:.3f}", f"{down:.3f}"]
        assert row[3] == f"{loss:.4f} / {sk.log_loss(actual[own], every[own]):.4f}"
        assert row[4] == f"{np.mean(said[own] == actual[own]):.3f}"


def test_calibration_and_outlines(page, judged):
    proba, actual, _ = judged
    sure, right = proba.max(axis=1), proba.argmax(axis=1) == actual
    bins = pd.qcut(sure, 10, labels=False)
    gaps = pd.DataFrame({"sure": sure, "right": right}).groupby(bins).agg(["mean", "size"])
    error = (gaps["sure"]["mean"] - gaps["right"]["mean"]).abs() * gaps["sure"]["size"]
    scores = {row[0]: row[1:] for row in rows_of(page, "Scores of the model")}
    assert scores["Calibration error (ECE)"][0] == f"{error.sum() / len(sure):.3f}"
    rows = rows_of(page, "Reliability as a table")
    for k, name in enumerate(("DOWN", "STAY", "UP")):
        bins = pd.qcut(proba[:, k], 10, labels=False)
        table = pd.DataFrame({"p": proba[:, k], "true": actual == k}).groupby(bins).mean()
        shown = [[float(t) for t in row[1:3]] for row in rows if row[0] == name]
        np.testing.assert_allclose(shown, table.to_numpy(), atol=0.0006)
    rows = rows_of(page, "Probabilities by actual class as a table")
    for k, name in ((0, "P(DOWN)"), (2, "P(UP)")):
        counts = [[int(t.replace(",", "")) for t in row[3:]] for row in rows if row[0] == name]
        assert np.sum(counts, axis=0).tolist() == np.bincount(actual, minlength=3).tolist()
        edges = [float(row[1]) for row in rows if row[0] == name]
        first = (proba[:, k] < edges[12]).sum()
        assert abs(np.sum(counts[:12]) - first) <= 0.02 * len(actual)


def test_forward_returns_by_decile(page, res, bars, accounts):
    preds, whole = res.predictions, res.bars
    there = np.flatnonzero(np.isfinite(whole.close[:, 0]))
    rows = []
    for t, at in enumerate(there[:-24]):
        up, down = preds.proba[at, 0, 2], preds.proba[at, 0, 0]
        if preds.split[at, 0] < 0 or up == down:
            continue
        move = whole.close[there[t + 24], 0] / whole.open[there[t + 1], 0] - 1
        rows.append((at, max(up, down), move if up > down else -move))
    table = pd.DataFrame(rows, columns=["bar", "sure", "gross"]).astype({"sure": float})
    table["decile"], edges = pd.qcut(table["sure"], 10, labels=False, retbins=True)
    groups = table.groupby("decile")
    for row, (_, own) in zip(
        rows_of(page, "Deciles of confidence as a table"), groups, strict=True
    ):
        assert int(row[2].replace(",", "")) == pytest.approx(len(own), abs=1)
        gross = own["gross"].mean()
        wanted = [
            format_number(gross, "basis_points"),
            format_number(gross - 0.0014, "basis_points"),
        ]
        assert row[3:5] == wanted
    sure = np.maximum(preds.proba[:, 0, 2], preds.proba[:, 0, 0]).astype(float)
    for series, book in accounts:
        trades = book.trades
        place = np.searchsorted(edges[1:-1], sure[trades["entry"] - 1 + res.window[0]], "right")
        means = trades.groupby(place)["return"].agg(["mean", "size"]).reindex(range(10))
        shown = page.array(series["deciles"]["count"])
        assert shown.tolist() == means["size"].fillna(0).astype(int).tolist()
        np.testing.assert_allclose(
            page.array(series["deciles"]["net"]), means["mean"], rtol=1e-5, atol=1e-8
        )


def test_the_frontier_and_the_heatmap_read_the_same_numbers(page, res):
    grid = Grid.of(res.metrics)
    assert page.array(page.data["positions"]).reshape(-1, 3).tolist() == grid.positions.tolist()
    assert [value["key"] for value in page.data["levels"][0]["values"]] == RULES
