"""The section `key`."""
