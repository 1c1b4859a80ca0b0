"""A strategy small enough to run whole in a second, for the tests of pipeline and command line."""

TINY = """
name = "tiny"
seed = 3

[data]
source = "simulated:seed=5,bars=1200"

[features]
names = ["candle_body", "candle_upper_wick", "hour_sin"]

[labels]
horizon = 6
halflife = 5.0

[splits]
train = 500
test = 240
folds = 2

[model]
prior = "none"
depths = [1, 1]
dims = [4, 4]

[training]
steps = 2
segments = 2
segment_bars = 64
eval_every = 1

[rule]
threshold = "q0.50"
full = "q0.90"
exit = "bracket" # to trade often, whatever it is worth
min_edge = -1.0

[sweep]
threshold = ["q0.20", "q0.50"]
risk = [0.005, 0.01]
"""


def write_tiny(folder, *changes):
    """Write the tiny strategy, with (old, new) text replacements, and return its path."""
    text = TINY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "tiny.toml"
    path.write_text(text)
    return path
