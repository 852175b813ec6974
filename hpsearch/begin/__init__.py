"""The first study file: of a table, a folder of images, arrays or a training script, or one of the
studies that hpsearch comes with."""

from hpsearch.begin.draft import Draft, study_text
from hpsearch.begin.looking import TAKES, candidates, draft_of

__all__ = ["TAKES", "Draft", "candidates", "draft_of", "study_text"]
