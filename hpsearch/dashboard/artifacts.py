"""The pictures of hpsearch's studies as optuna-dashboard's artifacts, to be looked at alone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound

from hpsearch.pictures.gallery import Gallery, uid_of

if TYPE_CHECKING:
    from hpsearch.store.ledger import Ledger

__all__ = ["Artifacts"]


class Artifacts:
    """Optuna's artifact store over the places of the studies' checkpoints."""

    def __init__(self, ledger: Ledger, checkpoints: str | None) -> None:
        """`checkpoints` is where those of all studies lie; None: where each study says."""
        self._ledger, self._checkpoints = ledger, checkpoints

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """A picture; ArtifactNotFound where there is none of that id, CheckpointError where the
        place cannot be reached from here."""
        uid = uid_of(artifact_id)
        study = next((study for study in self._ledger.studies() if study.uid == uid), None)
        if study is None:
            raise ArtifactNotFound(f"no study of hpsearch has an artifact {artifact_id}")
        gallery = Gallery.of(self._ledger, study, self._checkpoints)
        picture = next((k for k in gallery.kept() if k.artifact_id(study.uid) == artifact_id), None)
        if picture is None:
            raise ArtifactNotFound(
                f"the picture is not in {gallery.place}: hpsearch pictures {study.name} draws it"
            )
        return io.BytesIO(gallery.content(picture))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Nothing is written here: `owned` refuses requests to do so before they come this far."""
        raise NotImplementedError("pictures are drawn by hpsearch, and nothing else is kept")

    def remove(self, artifact_id: str) -> None:
        """A picture goes with its study, by `places.delete_study`; of others' nothing is known."""
