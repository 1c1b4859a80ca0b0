"""What the results are worth: statistics over predictions and portfolios."""
