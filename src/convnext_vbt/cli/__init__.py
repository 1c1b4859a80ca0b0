"""The command line: commands, how they end, what they print, what they run on."""
