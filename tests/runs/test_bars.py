"""What a run says of the bars that it is about to trade."""

import logging

import pandas as pd
import pytest

from convnext_vbt.errors import DataError
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.runs.bars import read_bars, warn_of_costs
from convnext_vbt.runs.config import Config, parse_config


@pytest.mark.parametrize(
    ("symbol", "costs", "warned"),
    [
        ("EURUSD", {}, True),
        ("eur/usd", {}, True),
        ("XAUUSD_H1", {}, True),
        ("EURUSD", {"fees": 0.00002}, False),
        ("BTC/USDT", {}, False),
        ("EURUSDT", {}, False),
        ("SPY", {}, False),
    ],
)
def test_currencies_at_a_crypto_exchanges_costs_are_told(caplog, symbol, costs, warned):
    bars = simulated_bars(bars=48, symbol=symbol)
    with caplog.at_level(logging.WARNING, "convnext_vbt"):
        warn_of_costs(parse_config({"trading": costs}), bars)
    assert ("a pair of currencies" in caplog.text) == warned


def test_the_detail_belongs_to_the_bars_and_is_cut_with_them(tmp_path):
    hours = simulated_bars(bars=60)
    path = tmp_path / "hours.csv"
    pd.DataFrame(
        {name: getattr(hours, name)[:, 0] for name in FIELDS}, index=hours.index
    ).to_csv(path, index_label="timestamp")  # fmt: skip
    half = tmp_path / "half.csv"
    frame = pd.concat(
        [
            pd.DataFrame(
                {
                    "open": (hours.open if first else hours.close)[:, 0],
                    "high": (hours.high if first else hours.close)[:, 0],
                    "low": (hours.low if first else hours.close)[:, 0],
                    "close": hours.close[:, 0],
                    "volume": hours.volume[:, 0] / 2,
                },
                index=hours.index + (0 if first else 1) * pd.Timedelta(minutes=30),
            )
            for first in (True, False)
        ]
    ).sort_index()
    frame.to_csv(half, index_label="timestamp")
    data = {"source": str(path), "detail": str(half), "start": str(hours.index[10])}
    bars = read_bars(Config.model_validate({"data": data}, strict=False))
    assert len(bars) == 50
    assert bars.detail.starts[0].tolist() == list(range(0, 101, 2))
    assert bars.rows(5, 7).detail.prices[0, 0, 10] == pytest.approx(hours.open[15, 0])
    assert (
        bars.fingerprint()
        != read_bars(
            Config.model_validate({"data": data | {"detail": None}}, strict=False)
        ).fingerprint()
    )
    with pytest.raises(DataError, match="do not divide"):
        read_bars(Config.model_validate({"data": data | {"detail": str(path)}}, strict=False))
