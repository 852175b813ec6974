"""Training candidate networks on one device.

Nothing here knows of Optuna, SQL, study files or tickets: `array.Array` is used with a plain `for`.
"""

from __future__ import annotations

__all__: list[str] = []
