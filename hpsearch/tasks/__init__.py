"""What can be learnt, a folder each.

`NAME/__init__.py` declares a `TASK` and imports no PyTorch; `NAME/learning.py` has the functions of
`tasks.learning.Learning`, which do. A folder is all it takes, here or in a package of your own:
docs/guides/add-a-task.md says how.
"""

from hpsearch.spec.settings import Setting
from hpsearch.spec.task import Baseline, Loss, Metric, Result, Table, Task

__all__ = ["Baseline", "Loss", "Metric", "Result", "Setting", "Table", "Task"]
