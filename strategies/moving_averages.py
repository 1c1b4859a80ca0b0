"""A primary for `model.primary`: long while the fast average is above the slow one, else short.

The model then learns which of these trades to take, and how large. Row t may use what is known at
the close of bar t and nothing later.
"""

import numpy as np
import pandas as pd

import convnext_vbt as cv


def cross(bars: cv.Bars) -> pd.DataFrame:
    close = bars.frame("close")
    fast, slow = (close.rolling(length).mean() for length in (24, 120))
    return np.sign(fast - slow)  # 1 long, -1 short, NaN or 0 neither
