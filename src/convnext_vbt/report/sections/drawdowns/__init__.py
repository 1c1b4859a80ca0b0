"""The section `drawdowns`."""
