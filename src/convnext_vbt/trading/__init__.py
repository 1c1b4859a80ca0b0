"""Right half: from probabilities to orders, portfolios and sweeps. No torch here."""
