"""`python -m kato_cli`: how a started instance is run, so that it needs no script on PATH."""

from kato_cli.main import main

main()
