"""Pages of HTML from the templates of the package."""

from __future__ import annotations

from fnevr.config.presets import ASSETS
from fnevr.errors import FnevrError
from fnevr.extras import how_to_install


def render(template: str, **values: object) -> str:
    """Fill a template in.

    Args:
        template: its name in the assets.
        values: what it needs; all of its names must be given.

    Raises:
        FnevrError: if Jinja2, which comes with an extra, is missing.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415
    except ImportError as error:
        raise FnevrError(f"the report needs jinja2: {how_to_install('eval')}") from error
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        loader=FileSystemLoader(ASSETS),
    )
    return environment.get_template(template).render(values)
