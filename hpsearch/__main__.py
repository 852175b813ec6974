"""`python -m hpsearch` is the same as `hpsearch`."""

from hpsearch.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
