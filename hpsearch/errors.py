"""Everything that can go wrong and is not a bug, as one tree with its exit codes.

    HpsearchError                 1   something failed that has no better name
    ├── StudyFileError            2   the study file or an option has faults; all of them are listed
    ├── StorageError              3   the database cannot be reached, or refuses us
    │   ├── UnreachableError      3   the database does not answer, and may come back
    │   ├── LostError             3   the database is not the one any more that was opened
    │   └── SchemaError           3   the database was made by another version
    ├── DamagedError              3   a row of the database makes no sense
    ├── DataError                 4   the data is missing or is not what the study file says
    ├── ConflictError             5   the name is taken, or the study is in another state
    ├── NotFoundError             6   no such study, or nothing in it yet
    ├── WorkerError               7   workers ended before the budget was spent
    ├── CheckpointError           8   a checkpoint cannot be written or read
    ├── CodeError                 9   the study's own code is missing, has changed, or fails; or an
    │                                 installed package's fails
    └── TrackingError            10   MLflow does not answer, or refuses us

The message is what a user sees: what happened, where, and what to do about it.
Interruption by Ctrl-C or SIGTERM leaves with `INTERRUPTED` (130); of a service, which ends in no
other way, with 0.
"""

from __future__ import annotations

__all__ = [
    "EXIT_CODES",
    "INTERRUPTED",
    "CheckpointError",
    "CodeError",
    "ConflictError",
    "DamagedError",
    "DataError",
    "HpsearchError",
    "LostError",
    "NotFoundError",
    "SchemaError",
    "StorageError",
    "StudyFileError",
    "TrackingError",
    "UnreachableError",
    "WorkerError",
    "line",
]

INTERRUPTED = 130


class HpsearchError(Exception):
    """Something failed that has no better name."""

    exit_code = 1


class StudyFileError(HpsearchError):
    """The study file or an option has faults."""

    exit_code = 2


class StorageError(HpsearchError):
    """The database cannot be reached, or refuses us."""

    exit_code = 3


class UnreachableError(StorageError):
    """The database does not answer, and may come back."""

    settled = False
    """Whether what it says calls for somebody to change the URL, the user or the database: then a
    program that has just been started does not wait for it."""


class LostError(StorageError):
    """The database is not the one any more that was opened."""


class SchemaError(StorageError):
    """The database was made by another version."""


class DamagedError(HpsearchError):
    """A row of the database makes no sense: something other than hpsearch and Optuna wrote it."""

    exit_code = 3


class DataError(HpsearchError):
    """The data is missing or is not what the study file says."""

    exit_code = 4


class ConflictError(HpsearchError):
    """The name is taken, or the study is in another state."""

    exit_code = 5


class NotFoundError(HpsearchError):
    """No such study, or nothing in it yet."""

    exit_code = 6


class WorkerError(HpsearchError):
    """Workers ended before the budget was spent."""

    exit_code = 7


class CheckpointError(HpsearchError):
    """A checkpoint cannot be written or read."""

    exit_code = 8


class CodeError(HpsearchError):
    """The study's own code is missing, has changed, or fails; or an installed package's fails."""

    exit_code = 9


class TrackingError(HpsearchError):
    """MLflow does not answer, or refuses us."""

    exit_code = 10


EXIT_CODES = {
    0: "done",
    **{
        cls.exit_code: (cls.__doc__ or "").rstrip(".").lower()
        for cls in (
            HpsearchError,
            StudyFileError,
            StorageError,
            DataError,
            ConflictError,
            NotFoundError,
            WorkerError,
            CheckpointError,
            CodeError,
            TrackingError,
        )
    },
    INTERRUPTED: "interrupted; everything finished is kept, run again to continue. A worker, "
    "fleet or dashboard that is asked to leave ends with 0",
}
"""Exit code to meaning, as the command line's help prints it."""


def line(error: BaseException) -> str:
    """Any exception in one line that can stand within a sentence.

    What the system says of it, without number and path; else the first line of its text, without
    a full stop; else the name of its class.
    """
    message = error.strerror if isinstance(error, OSError) and error.strerror else error
    try:
        lines = str(message).strip().splitlines()
    except Exception:  # own code can have exceptions that cannot be printed
        lines = []
    return (lines[0].rstrip(" .") if lines else "") or type(error).__name__
