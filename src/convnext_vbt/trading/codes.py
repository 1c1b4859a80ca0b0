"""What the numbers in signals, orders and trades mean.

`trading.kernel` has the same numbers itself, because numba's cache looks at one file alone; a test
compares the two, and what is vectorbt's with vectorbt.
"""

from __future__ import annotations

ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT = 1, 2, 4, 8
"""Bits of a row's signals in `Rules.packed`."""
UNTRADED, LEAVE, ABSENT = 16, 32, 64
"""Bits of a bar beside the signals that act at its open: see `inputs.bar_bits`."""
ENTER, EXIT = ENTER_LONG | ENTER_SHORT, EXIT_LONG | EXIT_SHORT

BUY, SELL = range(2)
"""`orders["side"]`: vectorbt's `OrderSide`."""
SIDES = ("Buy", "Sell")

LONG, SHORT = range(2)
"""`trades["direction"]`: vectorbt's `TradeDirection`."""
DIRECTIONS = ("Long", "Short")

OPEN, CLOSED = range(2)
"""`trades["status"]`: vectorbt's `TradeStatus`."""
STATUSES = ("Open", "Closed")

(
    ENTRY, SIGNAL, REVERSE, STOP, GAP_STOP, TAKE_PROFIT, MAX_HOLDING, BUST, DELISTED,
    LEAVE_TIME, LIQUIDATION,
) = range(11)  # fmt: skip
"""`trades["reason"]`: why the trade ended."""
NONE = ENTRY
"""Why a position ends that does not, and the reason of an open trade."""
REASONS = (
    "open", "signal", "reverse", "stop", "gap through stop", "take-profit", "max holding", "bust",
    "delisted", "time of day", "liquidation",
)  # fmt: skip
BY_RULE = (SIGNAL, REVERSE, MAX_HOLDING, LEAVE_TIME)
"""Exits that are decided by the row before and filled at the open, whatever the bar then does."""
