"""The section `verdict`."""
