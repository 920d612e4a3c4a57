"""`python -m millrace` is `millrace`."""

from millrace.cli import main

main()
