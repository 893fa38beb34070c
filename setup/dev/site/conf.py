"""The documentation as a website: setup/dev/site.sh builds it.

The pages are written for whoever reads them in the repository, with links to files
("install.rst#health-check"). Here these links become links between pages of the site,
and each has to lead somewhere; other files of the repository become downloads.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

project = "dfr_backup"
author = copyright = "dfr_backup contributors"
language = "en"
highlight_language = "none"
html_title = "dfr_backup: backup and restore for Odoo"
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "sidebar_width": "250px"}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
linkcheck_ignore = [
    r"(?![a-z]+:)",  # pages of the site: link_pages has looked at them
    r"https?://($|localhost|[\w.]*example\.com)",  # examples
]

DOCS = Path(__file__).resolve().parents[3] / "docs"
_logger = logging.getLogger(__name__)


def setup(app):
    app.connect("source-read", add_contents)
    app.add_transform(FilesOfTheRepository)
    app.connect("doctree-resolved", link_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_contents(_app, docname, source):
    """Give the index the tables of contents that Sphinx asks for: its sections, and
    the pages that they link to."""
    if docname != "index":
        return
    sections = re.split(r"(?m)^(.+)\n=+\n", source[0])
    titles, texts = sections[1::2], sections[2::2]
    for title, text in zip(titles, texts, strict=True):
        if pages := re.findall(r"<([\w-]+)\.rst>", text):
            head = [".. toctree::", "   :hidden:", f"   :caption: {title}", ""]
            source[0] += "\n".join(["", *head, *(f"   {name}" for name in pages), ""])


class FilesOfTheRepository(SphinxTransform):
    """What is not a page becomes a download; a folder is only named."""

    default_priority = 870  # before Sphinx collects the downloads (880)

    def apply(self, **_kwargs):
        for node in list(self.document.findall(nodes.reference)):
            path = _target(node)
            if path is None or path.parent == DOCS:
                continue
            if path.is_file():
                target = node["refuri"].partition("#")[0]
                download = addnodes.download_reference(reftarget=target)
                download += node.children
                node.replace_self(download)
            elif path.is_dir():
                node.replace_self(node.children)
            else:
                _logger.warning("no such file: %s", node["refuri"], location=node)


def link_pages(app, doctree, docname):
    for node in doctree.findall(nodes.reference):
        path = _target(node)
        if path is None or path.parent != DOCS:
            continue
        anchor = node["refuri"].partition("#")[2]
        if path.stem not in app.env.found_docs:
            _logger.warning("no such page: %s", node["refuri"], location=node)
        elif anchor and anchor not in app.env.get_doctree(path.stem).ids:
            _logger.warning("no such place: %s", node["refuri"], location=node)
        else:
            page = app.builder.get_relative_uri(docname, path.stem)
            node["refuri"] = f"{page}#{anchor}" if anchor else page


def _target(node):
    """Return the file that a link leads to, None for a link to something else."""
    uri = node.get("refuri", "")
    path = uri.partition("#")[0]
    is_file = path and not re.match(r"[a-z]+:", path) and not path.endswith(".html")
    return (DOCS / path).resolve() if is_file else None
