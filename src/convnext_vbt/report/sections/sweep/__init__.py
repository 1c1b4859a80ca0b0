"""The section `sweep`."""
