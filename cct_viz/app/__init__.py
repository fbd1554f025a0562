"""The Gradio app: start, models, page, tabs and endpoints."""
