"""The page: who may see it, what it shows, what its buttons do."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from pose_oad.live.web import Web, check_web, make_app
from pose_oad.predict.drawing import Panels
from pose_oad.predict.poses import StudentReader
from pose_oad.tracking.errors import UserError
from tests.pose_oad.live.services import Service, prepare_weights, serving, wait_for

TOKEN = "a token of some length"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    prepare_weights(folder, 1)
    with serving(folder) as service:
        wait_for(lambda: service.server.serving.version.generation == 1)
        yield service


@pytest.fixture(scope="module", params=[None, TOKEN], ids=["open", "token"])
def page(service: Service, request: pytest.FixtureRequest) -> Iterator[tuple[str, str | None]]:
    panels = Panels([StudentReader(service.server.serving.student)], (64, 64), 0.1)
    web = Web(make_app(service.server, panels, "127.0.0.1", request.param), "127.0.0.1", 0)
    web.start()
    yield f"http://127.0.0.1:{web.port}", request.param
    web.close()


def ask(page: tuple[str, str | None], path: str, post: bool = False, **headers: str) -> tuple[int, bytes]:
    url, token = page
    given = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(
        f"{url}/{path}", headers=given | headers, method="POST" if post else "GET", data=b"" if post else None
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_it_shows_the_picture_the_curve_and_the_chosen_frames(page: tuple[str, str | None]) -> None:
    code, html = ask(page, "")
    assert code == 200
    for what in (b'data-action="pause"', b'data-action="back"', b'id="picture"', b'id="curve"', b'id="chosen"'):
        assert what in html
    assert b"://" not in html  # it needs nothing from elsewhere
    picture = cv2.imdecode(np.frombuffer(ask(page, "picture.jpg")[1], np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (64, 64, 3)
    curve = json.loads(ask(page, "curve")[1])
    assert curve["windows"][0][1] == 7.5
    assert ask(page, f"chosen/{curve['chosen'][0]}.jpg") == (200, b"jpeg")
    assert ask(page, "chosen/99.jpg")[0] == 404
    status = json.loads(ask(page, "status")[1])
    assert status["serving"]["generation"] >= 1
    assert b"pose_oad_serving_generation" in ask(page, "metrics")[1]


def test_buttons_do_what_they_say(service: Service, page: tuple[str, str | None]) -> None:
    ours = {"X-Pose-OAD": "1"}
    assert ask(page, "pause", post=True, **ours)[0] == 200
    assert json.loads(ask(page, "status")[1])["adapter"]["paused"]
    assert ask(page, "resume", post=True, **ours)[0] == 200
    assert not service.adapter.paused
    assert ask(page, "explode", post=True, **ours)[0] == 422
    while service.server.serving.before() is not None:
        pass
    assert ask(page, "back", post=True, **ours)[0] == 409


def test_pages_from_elsewhere_may_not_press_them(page: tuple[str, str | None], service: Service) -> None:
    assert ask(page, "pause", post=True)[0] == 403
    assert ask(page, "status", Host="elsewhere.example")[0] == 400
    assert not service.adapter.paused


def test_who_does_not_know_the_token_sees_nothing(page: tuple[str, str | None]) -> None:
    url, token = page
    if token is None:
        assert ask(page, "status", Authorization="")[0] == 200
        return
    for path in ("", "status", "metrics", "picture.jpg", "status?token=another"):
        assert ask((url, None), path)[0] == 401, path
    assert ask((url, None), f"status?token={token.replace(' ', '%20')}")[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "::", "camera.local"])
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(UserError, match=r"web\.token"):
        check_web(host, None)
    with pytest.raises(UserError, match=r"web\.token"):
        check_web(host, "short")
    check_web(host, TOKEN)
    for local in ("127.0.0.1", "::1", "localhost"):
        check_web(local, None)


def test_a_port_that_is_taken_is_refused(page: tuple[str, str | None], service: Service) -> None:
    port = int(page[0].rpartition(":")[2])
    panels = Panels([StudentReader(service.server.serving.student)], (64, 64), 0.1)
    with pytest.raises(UserError, match=rf"web\.port={port}"):
        Web(make_app(service.server, panels), "127.0.0.1", port)
