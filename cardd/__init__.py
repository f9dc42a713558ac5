"""Smart-card and badge middleware for French health establishments."""

__version__ = "0.1.0"
