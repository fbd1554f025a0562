"""The guarded HTTP server around a Gradio page: every limit, and what enforces it. Knows nothing of models."""
