"""Pictures and numbers for files: figures, their colours, and the evidence bundle."""
