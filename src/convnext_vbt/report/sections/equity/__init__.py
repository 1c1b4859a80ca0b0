"""The section `equity`."""
