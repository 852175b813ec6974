"""First weights that come from files: where they lie; `hpsearch.weights.begin` puts them into
networks, and alone of all this loads PyTorch."""

from hpsearch.weights.files import Published, know, known, missing, weighed
from hpsearch.weights.preprocessing import check_preprocessing

__all__ = ["Published", "check_preprocessing", "know", "known", "missing", "weighed"]
