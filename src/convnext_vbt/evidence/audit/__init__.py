"""The causality audit: the future is replaced by garbage, and nothing before it may change."""
