"""The command that serves a page: web."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from fnevr.commands.options import (
    DeviceOption,
    Engine,
    Model,
    PrecisionOption,
    answering_for_errors,
)
from fnevr.commands.paths import Reads
from fnevr.errors import FnevrError
from fnevr.extras import how_to_install

PACKAGES = ("fastapi", "uvicorn", "websockets")


def web(
    *,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="The address to listen on. One that other machines reach asks them for a token.",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    virtual_camera: Annotated[
        bool,
        typer.Option(
            "--virtual-camera", help="Show live portraits as a camera; needs pyvirtualcam."
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Change a limit (max_seconds=60); repeatable."
        ),
    ] = None,
    model: Model = "lite",
    device: DeviceOption = None,
    engine: Engine = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Open a page on this machine: animate, live camera, edit."""
    with answering_for_errors({"--model": Reads(model, "a model")}, "Stopped."):
        missing = [name for name in PACKAGES if find_spec(name) is None]
        if missing:
            raise FnevrError(f"the page needs {' and '.join(missing)}: {how_to_install('web')}")

        from fnevr.config.presets import resolve_model
        from fnevr.server.run import serve
        from fnevr.server.settings import Limits, ServerSettings

        resolve_model(model)
        serve(
            ServerSettings(
                model=model,
                device=device,
                engine=engine,
                precision=precision,
                host=host,
                virtual_camera=virtual_camera,
                limits=Limits.changed(settings or []),
            ),
            port,
            browser,
            lambda address: typer.echo(f"fnevr is at {address}\nCtrl+C stops it.", err=True),
        )
