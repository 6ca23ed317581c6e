"""The command line: one module a subcommand, each a thin layer over the library."""

from .app import main

__all__ = ["main"]
