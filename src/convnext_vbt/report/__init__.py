"""One self-contained HTML page, and the figures it is made of."""
