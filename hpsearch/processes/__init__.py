"""Processes that hpsearch starts: workers, and what trains own code for them."""

__all__: list[str] = []
