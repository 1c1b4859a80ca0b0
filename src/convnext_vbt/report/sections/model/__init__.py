"""The section `model`."""
