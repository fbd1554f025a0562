"""One HTML file that holds an explorer with its payload: it opens from disk, with no network and no server."""

from __future__ import annotations

from html import escape

from . import script

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' blob:; style-src \
'unsafe-inline'; img-src data: blob:; worker-src blob:">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0 auto; max-width: 1240px; padding: 16px; background: #fbfbfd; color: #1a1f2e;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
h1 {{ font-size: 20px; margin: 0 0 4px; }}
p {{ margin: 0 0 14px; color: #4f576b; font-size: 14px; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #0f1320; color: #e8eaf2; }} p {{ color: #aab2c5; }} }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{facts}</p>
<div id="explorer"></div>
</main>
<script type="application/json" id="payload">{payload}</script>
<script>
{script}
loadExplorer().then(({{ mount, style }}) => {{
  mount(document.getElementById("explorer"), document.getElementById("payload").textContent, style);
}});
</script>
</body>
</html>
"""


def page_html(payload: str, *, title: str, facts: str = "") -> str:
    """`payload` (from `make_payload`) as a page of its own. Title and facts are texts, not markup.

    The page's own policy forbids it to ask for anything, so it cannot tell anybody who opened it.
    """
    inert = payload.replace("<", "\\u003c")  # JSON stays the same, and no text in it can close the element
    return _PAGE.format(title=escape(title), facts=escape(facts), payload=inert, script=script())
