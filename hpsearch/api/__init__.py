"""Doors for programs: hpsearch from Python."""
