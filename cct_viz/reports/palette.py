"""Colours of figures and icons. The page's own are in web/src/styles/tokens.css."""

ACCENT = "#4338ca"
BACKGROUND = "#fbfbfd"
BLUE, ORANGE = "#08519c", "#d9730d"
DIVERGING = (BLUE, "#2b7bba", "#92c5de", "#f7f7f7", "#fdb863", ORANGE, "#9a3d00")  # below 0, 0, above 0
