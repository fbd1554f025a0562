"""`write_report`: what the tables of a data set say, in a file that people read."""

from __future__ import annotations

from pathlib import Path

from ..dataset.analyse import Analysis
from ..methods.strongest import write_patches
from .findings import Findings, find
from .findings_page import make_page
from .findings_pdf import write_pdf
from .findings_pictures import open_source, read_sheets, read_thumbnails
from .findings_sections import make_sections, title_of


def write_report(analysis: Analysis, path: Path) -> Findings:
    """Write the report of a data set: a PDF if the path ends so, else one HTML file.

    Beside it come the sheets of the strongest patches, which the page shows if they are kept beside the weights. All
    pictures are there if the source still is as it was.

    Raises:
        ValueError: no picture could be read.
        OSError: a file cannot be written.
    """
    findings = find(analysis)
    chunks = open_source(analysis.manifest)
    sheets = read_sheets(chunks, analysis.manifest, findings)
    sections = make_sections(analysis, findings, read_thumbnails(chunks, findings), sheets)
    title = title_of(analysis.manifest)
    if path.suffix.lower() == ".pdf":
        write_pdf(title, sections, path)
    else:
        path.write_text(make_page(title, sections), encoding="utf-8")
    write_patches(path.parent, sheets)
    return findings
