"""Own training code at work: each candidate in a process of its own, behind the runner's face.

    worker: Children (a runner)  -- orders -->  child: the user's function and its Run
                                <-- reports --

`run` is what a user's function is given, `child` the process that calls it, `process` that process
as the worker sees it, and `runner` the runner. Nothing here knows of Optuna, SQL or study files.
"""

__all__: list[str] = []
