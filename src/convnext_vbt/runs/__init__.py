"""A run: its strategy file, its stages in order, its directory, its evidence."""
