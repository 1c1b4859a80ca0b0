"""The section `trades`."""
