"""What hpsearch relies on, as checks for what you add to it.

from hpsearch.testing import check_family, check_task
from my_package import FAMILY, TASK

def test_the_family():
    check_family(FAMILY)

def test_the_task():
    check_task(TASK)
"""

from hpsearch.testing.families import check_family
from hpsearch.testing.tasks import check_task

__all__ = ["check_family", "check_task"]
