"""The section `baselines`."""
