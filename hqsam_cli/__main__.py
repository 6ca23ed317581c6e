"""`python -m hqsam_cli` is `hqsam`."""

from .cli import main

if __name__ == "__main__":
    main()
