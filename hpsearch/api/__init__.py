"""Doors for programs: hpsearch from Python."""

__all__: list[str] = []
