"""The section `returns`."""
