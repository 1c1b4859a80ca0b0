"""When and why an account earned: by calendar, side, exposure, market and regime."""
