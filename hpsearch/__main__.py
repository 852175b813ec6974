"""`python -m hpsearch` is the same as `hpsearch`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, which takes a moment to load: Ctrl-C is heard in that too."""
    try:
        from hpsearch.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)  # `errors.INTERRUPTED`, which may not be there yet
    command()


if __name__ == "__main__":
    main()
