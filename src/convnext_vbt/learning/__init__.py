"""Left half: from bars to out-of-sample probabilities. No vectorbt here."""
