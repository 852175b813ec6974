"""Families of networks, a folder each.

`NAME/__init__.py` declares a `FAMILY` and imports no PyTorch; `NAME/network.py` builds the
networks. A folder is all it takes, here or in a package of your own: docs/guides/add-a-family.md
says how."""

from hpsearch.spec.conflicts import Rule
from hpsearch.spec.family import Family
from hpsearch.spec.problem import Kind, Problem
from hpsearch.spec.settings import Setting

__all__ = ["Family", "Kind", "Problem", "Rule", "Setting"]
