"""`python -m convnext_vbt` is `convnext-vbt`."""

from convnext_vbt.cli.commands import main

main()
