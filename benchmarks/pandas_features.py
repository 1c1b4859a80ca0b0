"""The built-in features as one would write them in pandas: the rival, and the tests' oracle.

Written from the definitions, not from the kernels. One symbol without gaps.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

FLOOR = 1e-6  # volatility and ATR, as a share of the price
LIMIT = 10.0


def pandas_features(bars: pd.DataFrame) -> pd.DataFrame:
    """Every built-in feature of a frame with open, high, low, close, volume on a UTC index."""
    parts = [_returns(bars), _candles(bars), _volatility(bars), _averages(bars), _rsi(bars)]
    parts += [_directional(bars), _bands(bars), _stochastic(bars), _efficiency(bars)]
    parts += [_volume(bars), _flow(bars), _times(bars.index)]
    return pd.concat(parts, axis=1)


def _ratio(part: pd.Series, whole: pd.Series, otherwise: float) -> pd.Series:
    """The quotient, and `otherwise` where whole is nothing."""
    return (part / whole.where(whole > 0)).fillna(otherwise)


def _ewma_variance(close: pd.Series, halflife: float) -> pd.Series:
    squares = np.log(close).diff() ** 2
    return squares.ewm(halflife=halflife, adjust=False).mean().clip(lower=FLOOR**2)


def _true_range(bars: pd.DataFrame) -> pd.Series:
    before = bars.close.shift()
    spans = [bars.high - bars.low, (bars.high - before).abs(), (bars.low - before).abs()]
    return pd.concat(spans, axis=1).max(axis=1).where(before.notna())


def _wilder(values: pd.Series, period: int) -> pd.Series:
    return values.ewm(alpha=1 / period, adjust=False).mean()


def _atr(bars: pd.DataFrame) -> pd.Series:
    return np.maximum(_wilder(_true_range(bars), 14), FLOOR * bars.close)


def _returns(bars: pd.DataFrame) -> pd.DataFrame:
    log_close, sigma = np.log(bars.close), np.sqrt(_ewma_variance(bars.close, 24))
    return pd.DataFrame(
        {
            f"return_{lag}": (log_close.diff(lag) / (sigma * np.sqrt(lag))).clip(-LIMIT, LIMIT)
            for lag in (1, 4, 24, 72, 168)
        }
    )


def _candles(bars: pd.DataFrame) -> pd.DataFrame:
    span = bars.high - bars.low
    top, bottom = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    return pd.DataFrame(
        {
            "candle_body": _ratio(bars.close - bars.open, span, 0.0),
            "candle_upper_wick": _ratio(bars.high - top, span, 0.0),
            "candle_lower_wick": _ratio(bottom - bars.low, span, 0.0),
        }
    )


def _volatility(bars: pd.DataFrame) -> pd.DataFrame:
    def root_mean(values: pd.Series, window: int) -> pd.Series:
        return np.sqrt(values.rolling(window).mean().clip(lower=FLOOR**2))

    moves = np.log(bars.close).diff() ** 2
    span, body = np.log(bars.high / bars.low), np.log(bars.close / bars.open)
    parkinson = span**2 / (4 * np.log(2))
    garman_klass = 0.5 * span**2 - (2 * np.log(2) - 1) * body**2
    fast, slow = _ewma_variance(bars.close, 6), _ewma_variance(bars.close, 24)
    gk_day, gk_week = root_mean(garman_klass, 24), root_mean(garman_klass, 168)
    return pd.DataFrame(
        {
            "volatility_ratio_6_24": 0.5 * np.log(fast / slow),
            "volatility_ratio_24_168": np.log(root_mean(moves, 24) / root_mean(moves, 168)),
            "parkinson_over_close_24": np.log(root_mean(parkinson, 24) / root_mean(moves, 24)),
            "garman_klass_ratio_24_168": np.log(gk_day / gk_week),
        }
    )


def _averages(bars: pd.DataFrame) -> pd.DataFrame:
    close, unit = bars.close, _atr(bars)
    ema = {s: close.ewm(span=s, adjust=False).mean() for s in (12, 20, 24, 26, 168)}
    return pd.DataFrame(
        {
            "log_natr_14": np.log(100 * unit / close),
            "macd_over_atr": (ema[12] - ema[26]) / unit,
            "keltner_20": (close - ema[20]) / (2 * unit),
            "ema_distance_24": (close - ema[24]) / (unit * np.sqrt(24)),
            "ema_distance_168": (close - ema[168]) / (unit * np.sqrt(168)),
        }
    ).pipe(_limit_but, "log_natr_14")


def _limit_but(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame.clip(-LIMIT, LIMIT).assign(**{name: frame[name]})


def _rsi(bars: pd.DataFrame) -> pd.DataFrame:
    change = bars.close.diff()
    gain, loss = _wilder(change.clip(lower=0), 14), _wilder(-change.clip(upper=0), 14)
    return pd.DataFrame({"rsi_14": _ratio(gain - loss, gain + loss, 0.0)})


def _directional(bars: pd.DataFrame) -> pd.DataFrame:
    rise, fall = bars.high.diff(), -bars.low.diff()
    plus = _wilder(rise.where((rise > fall) & (rise > 0), 0.0).where(rise.notna()), 14)
    minus = _wilder(fall.where((fall > rise) & (fall > 0), 0.0).where(fall.notna()), 14)
    span = _wilder(_true_range(bars), 14)
    index = _ratio((plus - minus).abs(), plus + minus, 0.0).where(rise.notna())
    return pd.DataFrame(
        {"adx_14": _wilder(index, 14), "di_spread_14": _ratio(plus - minus, span, 0.0)}
    )


def _bands(bars: pd.DataFrame) -> pd.DataFrame:
    window = bars.close.rolling(20)
    mean, deviation = window.mean(), window.std(ddof=0)
    return pd.DataFrame(
        {
            "bollinger_percent_b_20": 0.5 + _ratio(bars.close - mean, 4 * deviation, 0.0),
            "bollinger_width_20": (deviation / _atr(bars)).clip(upper=LIMIT),
        }
    )


def _stochastic(bars: pd.DataFrame) -> pd.DataFrame:
    top, bottom = bars.high.rolling(14).max(), bars.low.rolling(14).min()
    return pd.DataFrame({"stochastic_k_14": 2 * _ratio(bars.close - bottom, top - bottom, 0.5) - 1})


def _efficiency(bars: pd.DataFrame) -> pd.DataFrame:
    path = bars.close.diff().abs().rolling(24).sum()
    return pd.DataFrame({"efficiency_24": _ratio(bars.close.diff(24), path, 0.0)})


def _volume(bars: pd.DataFrame) -> pd.DataFrame:
    typical, volume = (bars.high + bars.low + bars.close) / 3, bars.volume
    window = volume.rolling(24)
    day, week = window.mean(), volume.rolling(168).mean()
    vwap = ((typical * volume).rolling(24).sum() / window.sum()).where(day > 0, bars.close)
    return pd.DataFrame(
        {
            "vwap_distance_24": ((bars.close - vwap) / _atr(bars)).clip(-LIMIT, LIMIT),
            "volume_zscore_24": _ratio(volume - day, window.std(ddof=0), 0.0),
            "volume_trend_24_168": _ratio(day - week, day + week, 0.0),
        }
    )


def _flow(bars: pd.DataFrame) -> pd.DataFrame:
    place = _ratio(2 * bars.close - bars.high - bars.low, bars.high - bars.low, 0.0)
    flow = (place * bars.volume).rolling(24).sum()
    returns = np.log(bars.close).diff()
    rho = returns.rolling(24).corr(bars.volume).where(returns.rolling(24).std(ddof=0) > FLOOR)
    return pd.DataFrame(
        {
            "chaikin_money_flow_24": _ratio(flow, bars.volume.rolling(24).sum(), 0.0),
            "return_volume_correlation_24": rho.fillna(0.0).clip(-1, 1),
        }
    )


def _times(index: pd.DatetimeIndex) -> pd.DataFrame:
    hour = (index.hour + index.minute / 60 + index.second / 3600) / 24
    week = (index.day_of_week + hour) / 7
    return pd.DataFrame(
        {
            "hour_sin": np.sin(2 * np.pi * hour),
            "hour_cos": np.cos(2 * np.pi * hour),
            "weekday_sin": np.sin(2 * np.pi * week),
            "weekday_cos": np.cos(2 * np.pi * week),
        },
        index=index,
    )
