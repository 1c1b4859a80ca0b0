"""The user's own primary, `model.primary`: at each close long, short or neither.

Dimensions: T bars, N symbols.
"""

from __future__ import annotations

import numpy as np

from convnext_vbt.errors import UserCodeError
from convnext_vbt.evidence.audit.garbage import garbage_after
from convnext_vbt.market.bars import Bars
from convnext_vbt.runs.own_labels import NUM_CUTS, table_of
from convnext_vbt.user_code import load_function


def primary_sides(reference: str, bars: Bars) -> np.ndarray:
    """What "mine.py:rule" says at each close, int8 (T, N): 1 long, -1 short, 0 neither.

    NaN is neither, and so is a bar that the symbol does not have.

    Raises `UserCodeError` for anything else.
    """
    given = load_function(reference)(bars)
    try:
        sides = table_of(reference, given, bars, "the sides").astype(np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, UserCodeError):
            raise
        raise UserCodeError(f"{reference}: the sides are no numbers") from None
    sides = np.where(bars.present, np.nan_to_num(sides), 0.0)
    odd = ~np.isin(sides, (-1.0, 0.0, 1.0))
    if odd.any():
        raise UserCodeError(
            f"{reference}: a side is {sides[odd][0]:g} ({int(odd.sum())} such); give 1 (long), -1 "
            "(short), or 0 or NaN for neither"
        )
    return sides.astype(np.int8)


def refuse_early(reference: str, bars: Bars) -> None:
    """Raise `UserCodeError` where a side is nowhere, or changes with bars after its own.

    At some bars all that follows is replaced by another market, then cut off.
    """
    sides = primary_sides(reference, bars)
    if not sides.any():
        raise UserCodeError(f"{reference}: it is neither long nor short at any bar")
    for cut in np.linspace(0, len(bars) - 2, NUM_CUTS + 2).astype(int)[1:-1].tolist():
        when = bars.index[cut]
        for why, future in (
            (f"where another market follows {when}", garbage_after(bars, cut)),
            (f"where the bars end with {when}", bars.rows(0, cut + 1)),
        ):
            try:
                other = primary_sides(reference, future)
            except UserCodeError as error:
                raise UserCodeError(f"{why}: {error}") from error
            changed = sides[: cut + 1] != other[: cut + 1]
            if changed.any():
                t, n = (int(i) for i in np.argwhere(changed)[0])
                raise UserCodeError(
                    f"{reference}: the side of {bars.symbols[n]} at {bars.index[t]} changes with "
                    f"bars after {when} ({int(changed.sum())} such); use what is known at the "
                    "close of its own bar"
                )
