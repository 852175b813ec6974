"""What hpsearch relies on, as checks for what you add to it.

from hpsearch.testing import check_family
from my_package import FAMILY

def test_the_family():
    check_family(FAMILY)
"""

from hpsearch.testing.families import check_family

__all__ = ["check_family"]
