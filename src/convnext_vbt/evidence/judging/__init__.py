"""Judging any portfolio or table of returns, however it was made; `report.judge` is its face."""
