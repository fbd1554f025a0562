"""Pixels in and out: decoding of any upload, preprocessing for a model, PNG files and data: URLs."""
