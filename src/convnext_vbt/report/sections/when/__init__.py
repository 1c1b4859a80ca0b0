"""The section `when`."""
