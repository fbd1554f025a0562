"""The explorer that runs in the browser: its JavaScript, what it is sent, and the HTML files and site that hold it."""
