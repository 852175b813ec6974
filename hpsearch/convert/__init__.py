"""Files of other programs -> study files: W&B sweeps and Katib experiments.

read_foreign(path)     which program's it is, as plain values
converted(content)     the study, and what of the file has no counterpart
study_text(found)      the study file
"""

from hpsearch.convert.study import Converted, converted, read_foreign, study_text

__all__ = ["Converted", "converted", "read_foreign", "study_text"]
