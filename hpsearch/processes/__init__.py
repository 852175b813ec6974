"""Processes that hpsearch starts: workers, and what trains own code for them."""
