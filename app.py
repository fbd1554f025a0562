"""The door of the Space: `python app.py` serves the explorer on the bundled weights at http://127.0.0.1:7860."""

import sys

from cct_viz.app.serve import main

if __name__ == "__main__":
    sys.exit(main())
