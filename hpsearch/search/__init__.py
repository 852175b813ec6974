"""The one door to samplers and pruners: parameters for a ticket, and which trials to stop."""

from hpsearch.search.samplers import seed_of
from hpsearch.search.search import Search

__all__ = ["Search", "seed_of"]
