"""The one door to samplers and pruners: parameters for a ticket, and which trials to stop."""

from hpsearch.search.search import Search

__all__ = ["Search"]
