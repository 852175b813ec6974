"""hpsearch: hyperparameter search for PyTorch networks over one SQL database."""

__all__ = ["__version__"]

__version__ = "0.1.0"
