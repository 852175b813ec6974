"""Studies in MLflow: what is delivered there, and by whom.

`target` says where to, `facts` what of a study, `delivery` brings what is missing, through `runs`,
the one module that speaks with MLflow; `courier` is the process that does so while a study runs.
"""

__all__: list[str] = []
