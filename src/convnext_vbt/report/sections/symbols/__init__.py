"""The section `symbols`."""
