"""What hpsearch relies on, as checks for what you add to it.

from hpsearch.testing import check_family, check_source, check_task
from my_package import FAMILY, SOURCE, TASK

def test_the_family():
    check_family(FAMILY)

def test_the_source():
    check_source(SOURCE)

def test_the_task():
    check_task(TASK)
"""

from hpsearch.testing.families import check_family
from hpsearch.testing.sources import check_source
from hpsearch.testing.tasks import check_task

__all__ = ["check_family", "check_source", "check_task"]
