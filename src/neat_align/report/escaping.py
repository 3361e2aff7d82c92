"""The templates of the pages, under the rules that keep a model's text from doing anything."""

from __future__ import annotations

import jinja2

from neat_align.report.responses import shortened, visible


def template(name: str) -> jinja2.Template:
    """Load a template that escapes every text and can make invisible characters visible."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neat_align.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": visible, "shortened": shortened}
    return environment.get_template(name)
