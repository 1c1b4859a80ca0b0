"""The network's prior: endless simulated markets, and what was learned from them alone."""
