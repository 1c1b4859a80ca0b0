"""The section `words`."""
