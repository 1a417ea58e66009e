"""The service's page: what the camera sees, how the weights are, and a few buttons."""

from __future__ import annotations

import hmac
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import cv2
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from pose_oad.live.figures import prometheus
from pose_oad.live.server import Action, Server
from pose_oad.predict.drawing import Panels
from pose_oad.tracking.errors import UserError, check

_PAGE = Path(__file__).with_name("page.html")
_SHORTEST = 16  # characters of a token
_NO_TOKEN = {"127.0.0.1", "::1", "localhost"}


def check_web(host: str, token: str | None) -> None:
    """Refuse an address that others can reach without a token, or with one that can be guessed."""
    accepted = f"{_SHORTEST} characters or more, for web.host={host} can be reached from elsewhere"
    check(is_loopback(host) or token is not None, "web.token", None, accepted)
    check(token is None or len(token) >= _SHORTEST, "web.token", "…", f"{_SHORTEST} characters or more")


def is_loopback(host: str) -> bool:
    """Return True for an address that only this machine can reach."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_app(server: Server, panels: Panels, host: str = "127.0.0.1", token: str | None = None) -> FastAPI:
    """Build the page.

    Args:
        server: the service
        panels: draws its picture
        host: address that it is bound to
        token: who does not know it sees nothing; None: everybody does
    """
    drawing = threading.Lock()  # requests come in several threads
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if is_loopback(host):  # a page from elsewhere may not speak through a name that leads here
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_NO_TOKEN, "[::1]", host])

    @app.middleware("http")
    async def admit(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = given or request.query_params.get("token", "") or request.cookies.get("token", "")
        if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
            return PlainTextResponse("a token is needed: ?token=…\n", 401)
        # No form of another page sends this header.
        if request.method == "POST" and request.headers.get("x-pose-oad") != "1":
            return PlainTextResponse("the header X-Pose-OAD: 1 is needed\n", 403)
        response = await call(request)
        response.headers["Cache-Control"] = "no-store"
        if token is not None and "token" in request.query_params:
            response.set_cookie("token", token, httponly=True, samesite="strict")
        return response

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(_PAGE.read_text())

    @app.get("/status")
    def status() -> JSONResponse:
        return JSONResponse(server.status())

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        return PlainTextResponse(prometheus(server.status()), media_type="text/plain; version=0.0.4")

    @app.get("/curve")
    def curve() -> JSONResponse:
        return JSONResponse({
            "windows": list(server.figures.curve), "chosen": list(server.figures.chosen)
        })  # fmt: skip

    @app.get("/picture.jpg")
    def picture() -> Response:
        pose = server.latest
        if pose is None:
            raise HTTPException(404, "no frame yet")
        with drawing:
            drawn = panels.draw(pose.moment.frame, [pose.found], [f"generation {pose.generation}"], pose.moment.number)
        return Response(cv2.imencode(".jpg", drawn.to_ndarray(format="bgr24"))[1].tobytes(), media_type="image/jpeg")

    @app.get("/chosen/{frame}.jpg")
    def chosen(frame: int) -> Response:
        file = server.figures.chosen.get(frame)
        if file is None:
            raise HTTPException(404, "no such frame")
        return Response(file, media_type="image/jpeg")

    @app.post("/{action}")
    def ask(action: Action) -> JSONResponse:
        try:
            return JSONResponse({"said": server.ask(action)})
        except UserError as error:
            return JSONResponse({"said": str(error)}, 409)

    return app


class Web(threading.Thread):
    """Serve the page from a thread.

    Args:
        app: the page
        host: address
        port: port; 0 takes a free one

    Attributes:
        port: the port

    Raises:
        UserError: if the address cannot be bound.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        super().__init__(name="web", daemon=True)
        config = uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="off")
        self._server = uvicorn.Server(config)
        try:
            self._socket = _bound(host, port)
        except OSError as error:
            raise UserError(
                f"web.port={port}: cannot be bound on {host} ({error.strerror}); expected a free one"
            ) from error
        self.port: int = self._socket.getsockname()[1]

    def run(self) -> None:
        """Serve."""
        self._server.run([self._socket])

    def close(self) -> None:
        """End it."""
        self._server.should_exit = True
        self.join(3.0)


def _bound(host: str, port: int) -> socket.socket:
    [(family, kind, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(address)
    made.listen()
    return made
