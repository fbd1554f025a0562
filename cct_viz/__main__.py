"""The entry point of `cct-viz` and `python -m cct_viz`."""

import sys

from .server import settings


def main() -> int:
    """Run the command line; what the libraries read once, at import, is set before they are imported."""
    if sys.argv[1:2] == ["app"]:
        settings.set_environment()
        settings.set_memory()
    from .cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
