"""A worker: one process bound to one device that claims, trains, reports, prunes and finishes.

Each write is made so that the process may die before or after it. A ticket without a trial is
simply leased again. A checkpoint is written before the report of its epoch, and carries the whole
learning curve: who takes the trial over first delivers the reports that are missing and then
continues. Reports and the end of a trial are one transaction under the lease's fence."""

from hpsearch.worker.context import Options
from hpsearch.worker.loop import serve, serve_here

__all__ = ["Options", "serve", "serve_here"]
