"""The door: `python app.py` serves the explorer on the bundled weights at http://127.0.0.1:7860."""

from cct_viz import settings

settings.set_environment()  # before the imports: the libraries read it once
settings.set_memory()

import argparse  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

from cct_viz.checkpoints import CheckpointError  # noqa: E402
from cct_viz.serving import Models  # noqa: E402


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve the explorer for Compact Convolutional Transformers.")
    parser.add_argument(
        "--model", action="append", default=[], metavar="FOLDER_OR_REPO", help="also serve this; may be given again"
    )
    parser.add_argument("--host", help="address to listen on (GRADIO_SERVER_NAME, else 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (GRADIO_SERVER_PORT, else 7860 or the next free)")
    parser.add_argument("--no-hub", action="store_true", help="never ask the Hugging Face Hub")
    parser.add_argument("--mcp", action="store_true", help="also offer the endpoints to language models, by MCP")
    return parser.parse_args()


def read_address(arguments: argparse.Namespace) -> tuple[str | None, int | None]:
    """Host and port as given, else as Gradio's variables say, else None.

    The variables are taken away, for Gradio trips over bad ones and only begins its search at the port.
    """
    host, text = (os.environ.pop(f"GRADIO_SERVER_{name}", None) for name in ("NAME", "PORT"))
    text = text if arguments.port is None else arguments.port
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535):
        shown = text if len(text) <= 20 else f"{text[:20]}..."
        raise OSError(f"{shown!r} is no port; --port and GRADIO_SERVER_PORT take a number from 1 to 65535.")
    return arguments.host or host, int(text) if text else None


def main() -> int:
    arguments = parse_arguments()
    try:
        host, port = read_address(arguments)
        models = Models(arguments.model, hub=not arguments.no_hub)
        from cct_viz.ui.janitor import make_folder
        from cct_viz.ui.launch import launch
        from cct_viz.ui.page import build_page

        make_folder()  # before the page is built, whose pictures go there
        checks = {"model": models.is_there, "inference": models.works}
        launch(build_page(models), host=host, port=port, checks=checks, mcp=arguments.mcp)
    except (CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
