"""`python -m hpsearch` is the same as `hpsearch`."""

import gc
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, which takes a moment to load: Ctrl-C is heard in that too."""
    try:
        from hpsearch.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)  # `errors.INTERRUPTED`, which may not be there yet
    try:
        command()
    finally:
        gc.freeze()  # or Python looks for garbage in all that was loaded before it leaves


if __name__ == "__main__":
    main()
