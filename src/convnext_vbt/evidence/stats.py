"""What a Sharpe ratio is worth after luck, trials and choice.

Conventions: SR and all moments are PER PERIOD (a day's, for daily returns), kurtosis is RAW
(normal = 3), standard deviations have T - 1 in the denominator. What is not defined is NaN, never
inf and never 0; the docstring says when. An argument that makes no sense raises `ValueError`.
The four formulas of moments broadcast over arrays, and give a float for plain numbers.
Dimensions: T periods, C configurations (rules), S blocks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtr, ndtri

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.overfitting import (
    BacktestOverfitting,
    probability_of_backtest_overfitting,
)
from convnext_vbt.evidence.sharpe import (
    FEWEST_PERIODS,
    FloatOrArray,
    estimate,
    scalar_or_array,
    sharpe_ratio,
)

__all__ = [
    "BacktestOverfitting",
    "deflated_sharpe_ratio",
    "expected_maximum_sharpe",
    "minimum_track_record_length",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "sharpe_confidence_interval",
    "sharpe_ratio",
    "superior_predictive_ability",
]


def sharpe_confidence_interval(
    returns: ArrayLike,
    confidence: float = 0.90,
    seed: int = 0,  # noqa: ARG001
) -> tuple[float, float]:
    """Interval of the Sharpe ratio per period of returns (T,), which may depend on each other.

    Student's t with a jackknife over sqrt(T) blocks (`evidence.sharpe`). Multiply both ends by
    sqrt(periods per year) to annualise. (NaN, NaN) where the Sharpe ratio itself is undefined,
    below 20 periods, or where one block has all the variation: too few periods with a return.
    Nothing is drawn: `seed` is of no effect.
    """
    _check_confidence(confidence)
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 1:
        raise InputError(f"returns must be one series (T,), got shape {values.shape}")
    (low,), (high,) = estimate(values[:, None]).interval(confidence)
    return float(low), float(high)


def probabilistic_sharpe_ratio(
    sharpe: ArrayLike,
    benchmark: ArrayLike,
    num_periods: ArrayLike,
    skewness: ArrayLike = 0.0,
    kurtosis: ArrayLike = 3.0,
) -> FloatOrArray:
    """Probability that the true Sharpe ratio exceeds `benchmark`, both per period.

    Phi[(SR - SR*) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1)/4 SR^2)], Bailey and Lopez de Prado
    (2012), eq. 11, where returns do not depend on each other. NaN for fewer than two periods, where
    an argument is not finite, for a kurtosis below 1 (no distribution has one; an excess kurtosis?)
    and where the moments leave no positive variance.

    >>> round(probabilistic_sharpe_ratio(0.036 / 0.079, 0, 24, skewness=-2.448, kurtosis=10.164), 5)
    0.91271
    """
    sr, target, periods = _finite(sharpe), _finite(benchmark), _finite(num_periods)
    root = np.sqrt(_where(periods >= 2, periods - 1))
    return scalar_or_array(ndtr((sr - target) * root / np.sqrt(_spread(sr, skewness, kurtosis))))


def expected_maximum_sharpe(num_trials: ArrayLike, variance: ArrayLike) -> FloatOrArray:
    """Sharpe ratio per period that the best of `num_trials` independent ones without skill reaches.

    sqrt(V) [(1 - g) PhiInv(1 - 1/N) + g PhiInv(1 - 1/(N e))] with Euler's g, Bailey and Lopez de
    Prado (2014), eq. 1; 0 for a single trial. That is 8 % too little for two, for which it is
    sqrt(V / pi); from three on it is 0 to 3 % too much. `variance` is that of the trials' Sharpe
    ratios, per period. Raises `ValueError` for fewer than one trial or a negative variance.
    """
    trials, spread = _finite(num_trials), _finite(variance)
    if (trials < 1).any():
        raise InputError(f"num_trials must be at least 1, got {np.nanmin(trials):g}")
    if (spread < 0).any():
        raise InputError(f"variance must not be negative, got {np.nanmin(spread):g}")
    several = np.where(trials == 1, np.e, trials)  # PhiInv(0) is never asked for
    best = (1 - np.euler_gamma) * ndtri(1 - 1 / several)
    best = best + np.euler_gamma * ndtri(1 - 1 / (several * np.e))
    best = np.maximum(best, math.pi**-0.5)
    return scalar_or_array(np.sqrt(spread) * np.where(trials == 1, 0.0, best))


def deflated_sharpe_ratio(
    sharpe: ArrayLike,
    num_periods: ArrayLike,
    num_trials: ArrayLike,
    variance: ArrayLike,
    skewness: ArrayLike = 0.0,
    kurtosis: ArrayLike = 3.0,
) -> FloatOrArray:
    """Probability that the true Sharpe ratio is positive although it is the best of many.

    `probabilistic_sharpe_ratio` against `expected_maximum_sharpe(num_trials, variance)`, Bailey and
    Lopez de Prado (2014), eq. 2. All per period, kurtosis raw; NaN and `ValueError` as there.

    The paper's example, an annual Sharpe ratio of 2.5 over 1,250 days as the best of 100:

    >>> day = 250 ** -0.5
    >>> dsr = deflated_sharpe_ratio(2.5 * day, 1250, 100, 0.5 * day**2, skewness=-3, kurtosis=10)
    >>> round(dsr, 4)
    0.9004
    """
    benchmark = expected_maximum_sharpe(num_trials, variance)
    return probabilistic_sharpe_ratio(sharpe, benchmark, num_periods, skewness, kurtosis)


def minimum_track_record_length(
    sharpe: ArrayLike,
    benchmark: ArrayLike,
    confidence: float = 0.95,
    skewness: ArrayLike = 0.0,
    kurtosis: ArrayLike = 3.0,
) -> FloatOrArray:
    """Periods needed before `sharpe` exceeds `benchmark` with this confidence; not rounded.

    1 + [1 - g3 SR + (g4 - 1)/4 SR^2] (z / (SR - SR*))^2, Bailey and Lopez de Prado (2012), eq. 13.
    NaN where SR is not above SR*: no length would do. Raises `ValueError` for a confidence under
    one half, which any length has.
    """
    _check_confidence(confidence)
    if confidence < 0.5:
        raise InputError(f"confidence must be at least 0.5, got {confidence:g}")
    sr, target = _finite(sharpe), _finite(benchmark)
    lead = _where(sr > target, sr - target)
    return scalar_or_array(1 + _spread(sr, skewness, kurtosis) * (ndtri(confidence) / lead) ** 2)


def superior_predictive_ability(
    returns_TC: ArrayLike,
    benchmark: ArrayLike = 0.0,
    block_size: int | None = None,
    num_draws: int = 1000,
    seed: int = 0,
) -> float:
    """P-value of "none of these configurations beats the benchmark" (Hansen 2005, consistent).

    Each lead over the benchmark is studentised: divided by the standard error of its mean under the
    stationary bootstrap (Politis and Romano 1994, lemma 1), so that a small lead of a calm
    configuration counts beside the noise of a wild one.

    `returns_TC` are returns, (T, C), and `benchmark` a return per period or a series (T,). The
    stationary bootstrap's mean block is `block_size` periods; None takes the median over columns
    of the length that Politis and White's rule finds. Columns whose lead over the benchmark has a
    value that is not finite or does not vary are left out; NaN when none is left, and below 20
    periods.
    """
    values = np.asarray(returns_TC, dtype=np.float64)
    if values.ndim != 2:
        raise InputError(f"returns must be (periods, configurations), got shape {values.shape}")
    against = np.broadcast_to(np.asarray(benchmark, dtype=np.float64), len(values))
    lead = values - against[:, None]
    defined = np.isfinite(np.asarray(sharpe_ratio(lead)))
    if len(values) < FEWEST_PERIODS or not defined.any():
        return math.nan
    lead = lead[:, defined]
    if block_size is None:
        block_size = math.ceil(block_length(lead))
    from arch.bootstrap import SPA

    # arch compares losses, and a return is a negative loss. Its `studentize` (8.0) divides nothing.
    test = SPA(
        np.zeros(len(lead)),
        -lead / bootstrap_deviation(lead, block_size),
        block_size=block_size,
        reps=num_draws,
        bootstrap="stationary",
        seed=seed,
    )
    test.compute()
    return float(test.pvalues["consistent"])


def bootstrap_deviation(values_TC: np.ndarray, mean_block: float) -> np.ndarray:
    """Standard deviation of sqrt(T) times the mean of a stationary bootstrap draw, (C,)."""
    count = len(values_TC)
    length = next_fast_len(2 * count, real=True)  # zeros, so that no lag wraps around
    spectrum = rfft(values_TC - values_TC.mean(axis=0), length, axis=0)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    covariance_TC = irfft(power, length, axis=0)[:count] / count
    lag = np.arange(count)
    stays = 1.0 - 1.0 / mean_block
    weight = (1 - lag / count) * stays**lag + lag / count * stays ** (count - lag)
    weight[1:] *= 2.0
    weight[0] = 1.0
    return np.asarray(np.sqrt(weight @ covariance_TC))


def block_length(values_TC: np.ndarray) -> float:
    """Median over columns of the stationary bootstrap's best mean block length, at least 1."""
    from arch.bootstrap import optimal_block_length

    with np.errstate(divide="ignore"):  # a tail at exactly the mean has no autocorrelation
        lengths = optimal_block_length(values_TC)["stationary"]
    return max(1.0, float(lengths.median()))


def _spread(sr: np.ndarray, skewness: ArrayLike, kurtosis: ArrayLike) -> np.ndarray:
    """T - 1 times the variance of an estimated SR (Mertens 2002); NaN where there is none."""
    g3, g4 = _finite(skewness), _finite(kurtosis)
    variance = 1 - g3 * sr + (g4 - 1) / 4 * sr**2
    return _where((variance > 0) & (g4 >= 1), variance)


def _finite(values: ArrayLike) -> np.ndarray:
    """As float64; what is not finite becomes NaN, which no formula turns into a number."""
    array = np.asarray(values, dtype=np.float64)
    return _where(np.isfinite(array), array)


def _where(defined: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(defined, values, np.nan)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence:g}")
