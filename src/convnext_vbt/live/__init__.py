"""Live decisions: what a finished run says of the last finished bar. No order is ever sent."""
