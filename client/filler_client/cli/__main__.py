"""`python -m filler_client.cli` is `filler`."""

from filler_client.cli.main import main

main()
