"""The section `direction`."""
