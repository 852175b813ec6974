"""A study's report: one HTML file that opens anywhere, offline, and prints.

What it shows comes from the study's database and from the pictures that lie beside its checkpoints;
no network is loaded and no data is read.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import CheckpointError, DamagedError, NotFoundError
from hpsearch.insight import verdicts
from hpsearch.insight.importance import Importance, measured
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Snapshot
from hpsearch.pictures import confusion, curves, importance
from hpsearch.pictures.canvas import inline
from hpsearch.pictures.gallery import Gallery
from hpsearch.reports import charts, sections, winner
from hpsearch.reports.answer import Answer, answer
from hpsearch.reports.facts import facts
from hpsearch.reports.layout import laid_out
from hpsearch.reports.lines import HEIGHT, parallel
from hpsearch.reports.spent import Spent, spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.insight.snapshot import Trial
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.mirror import Mirror
    from hpsearch.store.values import TimedEpoch

__all__ = ["Report", "file_name", "report"]

_ODD, _LONGEST = re.compile(r"[^\w.\-]+"), 100
"""What a file's name has none of, and its most letters, whatever a database calls a study."""

_PATH = re.compile(r"(?<![\w.:/<~-])(?:/[\w.@+~-]+)+/([\w.@+-]+)")
"""An absolute path, and its last name."""

_DRAWN_HERE = ("curves", "confusion", "importance")
"""Pictures that are drawn into the page itself."""
_MOST_BYTES = 4 << 20
"""Pictures that are taken into the page, all together."""


@dataclass(frozen=True)
class Report:
    """A study's report."""

    snapshot: Snapshot
    facts: Mapping[str, Any]
    """What every page carries for programs, as plain values."""
    _context: Callable[[], Mapping[str, Any]]

    @property
    def html(self) -> str:
        """The page, drawn when it is asked for."""
        return laid_out("report", _named(self.facts), _named(dict(self._context())))


def report(
    ledger: Ledger, name: str, checkpoints: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Report:  # fmt: skip
    """The report of a study, whatever it has come to so far.

    Args:
        ledger: Where the study is.
        name: Its name.
        checkpoints: Where checkpoints lie, if an option or the environment says so.
        tell: Hears what takes seconds.

    Raises NotFoundError where there is no such study.
    """
    reader = Reader(ledger, name)
    snapshot = reader.snapshot()
    took = spent(snapshot, reader.trained_s(snapshot.study), reader.holds(snapshot.study))
    values = facts(snapshot, took)
    page = _Page(ledger, snapshot, reader.mirror(snapshot.study), took, checkpoints, tell)
    return Report(snapshot, values, page.context)


def _named(value: Any) -> Any:
    """The same with names in place of this machine's paths: a page is for others. What is drawn
    stays as it is."""
    if isinstance(value, str):
        return value if value.startswith(("<svg", "data:")) else _PATH.sub(r"\1", value)
    if isinstance(value, (list, tuple)):
        items = [_named(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    if isinstance(value, Answer):
        return replace(value, sentences=_named(value.sentences))
    return value


def file_name(name: str) -> str:
    """What the page of a study of that name is called, where nobody says otherwise."""
    return f"{_ODD.sub('-', name).strip('-.')[:_LONGEST] or 'study'}.html"


@dataclass(frozen=True)
class _Subject:
    """A trial as the pictures of trials take it, without its network."""

    title: str
    metric: str
    trial: Trial
    curve: Sequence[TimedEpoch] | None
    classes: Sequence[str]


@dataclass(frozen=True)
class _Page:
    """All that a page shows of one study."""

    ledger: Ledger
    snapshot: Snapshot
    mirror: Mirror
    spent: Spent
    checkpoints: str | None
    tell: Callable[[str], None] | None

    def context(self) -> dict[str, Any]:
        """By the names of the template."""
        snapshot = self.snapshot
        measured, unmeasured = self._importance()
        database = self.ledger.database
        elsewhere = self.ledger.known(snapshot.study.study_id)
        names = list(snapshot.spec.space.names)
        if measured is not None:
            names = [share.name for share in measured.parameters]
        return {
            "name": snapshot.study.name,
            "state": snapshot.study.state,
            "subtitle": sections.subtitle(snapshot),
            "answer": answer(snapshot),
            "figures": sections.figures(snapshot, self.spent),
            "metric": snapshot.metric,
            "own": snapshot.spec.train is not None,
            "stages": sections.stages(snapshot),
            "recipe": sections.recipe(snapshot),
            "verdict": winner.verdict(snapshot),
            "spread": verdicts.spread(snapshot.verdict) if snapshot.verdict else "",
            "budget": list(sections.budget(snapshot, self.spent, elsewhere)),
            "data": sections.data(snapshot),
            "failures": sections.failures(snapshot),
            "trials": sections.trials(snapshot, names),
            "handed": snapshot.handed is not None,
            "matrix_part": "test" if snapshot.spec.on_test else "validation",
            "pictures_part": "test" if snapshot.handed or snapshot.spec.on_test else "validation",
            "damaged": snapshot.damaged[:10],
            "reproduction": sections.reproduction(snapshot),
            "database": Path(database.file).name if database.file else database.name,
            "written": f"{datetime.now():%Y-%m-%d %H:%M}",
            "importance": measured,
            "unmeasured": unmeasured,
            "lines": parallel(snapshot, names),
            "height": HEIGHT,
            **self._winner(),
            **self._charts(names, measured),
            **self._pictures(),
        }

    def _winner(self) -> dict[str, Any]:
        """The network that the study hands over; nothing of it where there is none."""
        snapshot, trial = self.snapshot, self.snapshot.network
        if trial is None:
            return {"winner": None}
        return {
            "winner": trial,
            "chosen": winner.chosen(snapshot, trial),
            "metrics": winner.metrics(snapshot, trial),
            "beside": winner.beside(snapshot),
            "notes": list(winner.notes(snapshot, trial)),
            "tables": list(winner.tables(snapshot, trial)),
        }

    def _importance(self) -> tuple[Importance | None, str]:
        """What has mattered, or why that cannot be told."""
        try:
            study, spec = self.snapshot.study, self.snapshot.spec
            return measured(self.mirror, spec, study.name, self.tell), ""
        except NotFoundError as error:
            return None, str(error)

    def _charts(self, names: Sequence[str], measured: Importance | None) -> dict[str, str]:
        """The pictures that are drawn into the page; "" where there is nothing to draw."""
        snapshot = self.snapshot
        title = snapshot.study.name
        shares = None if measured is None else importance.content_of(title, measured)
        course, matrix = self._of_winner()
        drawn: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "course": (charts.course(snapshot), charts.draw_course),
            "curves": (charts.curves(snapshot), charts.draw_curves),
            "slices": (charts.slices(snapshot, names), charts.draw_slices),
            "shares": (shares, importance.draw),
            "winner_curves": (course, curves.draw),
            "matrix": (matrix, confusion.draw),
        }
        return {key: "" if content is None else inline(draw, content)
                for key, (content, draw) in drawn.items()}  # fmt: skip

    def _of_winner(self) -> tuple[curves.Curves | None, confusion.Confusion | None]:
        """Learning curves and confusion matrix of the network that is handed over."""
        snapshot, trial = self.snapshot, self.snapshot.network
        if trial is None:
            return None, None
        courses = self.ledger.courses(snapshot.study.study_id, {trial.number: 0})
        subject = _Subject(
            f"{snapshot.study.name}, trial {trial.number}", snapshot.metric, trial,
            courses[trial.number] or None, snapshot.classes,
        )  # fmt: skip
        return curves.gather(subject), confusion.gather(subject)

    def _pictures(self) -> dict[str, Any]:
        """Pictures of the network that is handed over, which lie beside the checkpoints, and a note
        where there is none or not all of them."""
        trial, study = self.snapshot.network, self.snapshot.study
        if trial is None or self.snapshot.spec.train is not None:
            return {"pictures": [], "pictures_note": ""}
        pictures, size, note = [], 0, ""
        try:
            gallery = Gallery.of(self.ledger, study, self.checkpoints)
            for picture in gallery.kept():
                if picture.trial != trial.number or picture.picture in _DRAWN_HERE:
                    continue
                png = gallery.content(picture)
                size += len(png)
                if size > _MOST_BYTES:
                    note = "There are more pictures than a page of this size has room for."
                    break
                uri = f"data:image/png;base64,{base64.b64encode(png).decode()}"
                pictures.append((picture.title, uri))
        except (CheckpointError, DamagedError) as error:
            note = f"The pictures of its networks cannot be reached from here: {error}"
        if not pictures and not note:
            note = (f"No other picture of it lies beside its checkpoints: hpsearch pictures "
                    f"{shlex.quote(study.name)} draws them where the data is.")  # fmt: skip
        return {"pictures": pictures, "pictures_note": note}
