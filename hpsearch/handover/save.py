"""The network that a study hands over: found, checked, and put in a folder of its own."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import torch

from hpsearch._version import __version__
from hpsearch.checkpoints.places import checkpoint_place
from hpsearch.code import use
from hpsearch.handover.code import saved_code
from hpsearch.handover.folder import NETWORK, Config, Data, Metrics, Network, Provenance, write
from hpsearch.handover.kept import candidate_trained, saved_network
from hpsearch.handover.labels import labels_of
from hpsearch.handover.replace import check_place
from hpsearch.handover.trained import Trained
from hpsearch.insight.snapshot import Snapshot, Trial
from hpsearch.sources.dataset import Prepared, check_same
from hpsearch.sources.opening import data_settings, open_data
from hpsearch.spec import StudySpec
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Study

__all__ = ["save"]

_GIT_S = 10.0


def save(
    ledger: Ledger, snapshot: Snapshot, best: Trial, folder: Path, option: str | None = None, *,
    code: Path | None = None, force: bool = False,
) -> Config:  # fmt: skip
    """Put the network of a study's best trial in `folder`, and give what config.json says of it.

    Args:
        ledger: Where the study is kept.
        snapshot: The study.
        best: Its best trial.
        folder: Where the network goes.
        option: Where checkpoints lie, if an option or the environment says so.
        code: The folder of the study's own code; None: none is named.
        force: Replace one that an earlier `save` has put there.

    Raises CodeError where the study needs other code; CheckpointError where the network is
    unavailable, or cannot be written; ConflictError where something else is in the folder;
    DataError where the data is missing or has changed.
    """
    check_place(folder, NETWORK, force=force)  # before anything that takes time
    study = snapshot.study
    spec = StudySpec.from_document(study.document)
    files = dict(ledger.code(study).files) if study.code else None
    use(saved_code(files, code))
    candidate = candidate_trained(ledger, study.study_id, spec, best)
    place = checkpoint_place(ledger.database, study, option)
    weights = saved_network(place, candidate, best).network
    settings = data_settings(spec, Path(study.base).absolute())
    dataset = open_data(spec, Path(study.base), torch.device("cpu"), study.data)
    check_same(settings, study.data or {}, dataset.record)
    problem = Prepared(**{name: getattr(dataset, name) for name in Prepared.__dataclass_fields__})
    problem = replace(problem, threshold=best.details.get("threshold"))
    Trained(spec.family, candidate.settings, weights, problem)  # whether it can be used at all
    config = Config(
        network=Network(spec.family, dict(candidate.settings)),
        problem=problem,
        metrics=_metrics(snapshot, spec, best),
        data=Data(
            settings=settings,
            fingerprint=dataset.record["fingerprint"],
            split=dataset.record["split"],
            rows=dict(dataset.record["rows"]),
            decided=dataset.record.get("decided"),
            labels=labels_of(settings, problem.task, problem.classes),
        ),
        provenance=_provenance(study, best, candidate.seed),
        code=files,
    )
    write(folder, config, weights, force=force)
    return config


def _metrics(snapshot: Snapshot, spec: StudySpec, best: Trial) -> Metrics:
    verdict = snapshot.verdict
    return Metrics(
        metric=spec.metric,
        validation=dict(best.metrics),
        test=dict(verdict["network"]) if verdict else None,
        finish=dict(verdict) if verdict else None,
    )


def _provenance(study: Study, best: Trial, seed: int) -> Provenance:
    return Provenance(
        study=study.name,
        uid=study.uid,
        digest=study.digest,
        trial=best.number,
        ticket=best.ticket,
        seed=seed,
        versions={
            "hpsearch": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        commit=_commit(study.base),
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _commit(folder: str) -> str | None:
    """What is checked out there; None where there is no git or none of its repositories."""
    try:
        done = subprocess.run(
            ["git", "-C", folder, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
            capture_output=True, text=True, timeout=_GIT_S, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
