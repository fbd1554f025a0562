"""Training and evaluation: `python -m cct_viz train` and `evaluate`. Not needed, and not imported, while serving."""
