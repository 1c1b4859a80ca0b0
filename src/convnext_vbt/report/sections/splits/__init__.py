"""The section `splits`."""
