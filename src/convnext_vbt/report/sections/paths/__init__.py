"""The section `paths`."""
