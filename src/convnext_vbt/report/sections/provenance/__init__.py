"""The section `provenance`."""
