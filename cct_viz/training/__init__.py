"""Training and evaluation: `python -m cct_viz train` and `evaluate`. The server does not import this package."""
