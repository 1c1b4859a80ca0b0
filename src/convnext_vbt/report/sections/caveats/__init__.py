"""The section `caveats`."""
