"""The section `per_split`."""
