"""The review page in a real browser, where Chromium and its driver are installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pandas as pd
import pytest

from comptool.label_review.corrections import apply_corrections, read_corrections
from comptool.label_review.gallery import write_gallery
from comptool.label_review.issues import SHEET, cell_cards

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with its driver")

CLASSES = ["roof, tiled", 'the "sea"', "<b>car</b>"]
DISTINCT = count(1)
KEYS = {"enter": "\ue007", "left": "\ue012", "right": "\ue014", "space": " "}


class Browser:
    """A session of the WebDriver protocol, as much of it as these tests need."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1000,800"]
        options = {"goog:chromeOptions": {"binary": BROWSER, "args": flags}}
        options["goog:loggingPrefs"] = {"browser": "ALL"}
        session = self.send("/session", capabilities={"alwaysMatch": options})
        self._url += f"/session/{session['sessionId']}"

    def send(self, path: str, **body):
        request = Request(self._url + path, json.dumps(body).encode(), method="POST")
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def close(self) -> None:
        urlopen(Request(self._url, method="DELETE"), timeout=60).close()

    def run(self, script: str):
        return self.send("/execute/sync", script=script, args=[])

    def press(self, *keys: str) -> None:
        strokes = [
            {"type": kind, "value": KEYS.get(key, key)}
            for key in keys
            for kind in ("keyDown", "keyUp")
        ]
        self.send("/actions", actions=[{"type": "key", "id": "keys", "actions": strokes}])

    def choose(self, select: str, value: str) -> None:
        self.run(
            f"const s = document.getElementById('{select}'); s.value = {json.dumps(value)};"
            "s.dispatchEvent(new Event('change', {bubbles: true}));"
        )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL)
    try:
        session = _connected(port)
        yield session
        session.close()
    finally:
        driver.terminate()
        driver.wait(timeout=20)


def _connected(port: int) -> Browser:
    for _ in range(100):
        try:
            return Browser(port)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the driver did not start")


@pytest.fixture
def page(browser, tmp_path):
    ids = ["007", "a,b", 'c"d', "1e5"]
    images = {}
    for number, name in enumerate(ids[:3]):
        file = tmp_path / f"{number}.png"
        cv2.imwrite(str(file), np.full((40, 60, 3), 60 * number, np.uint8))
        images[name] = [file]
    table = pd.DataFrame(
        {
            "id": ids,
            "class": [CLASSES[0], CLASSES[1], CLASSES[2], CLASSES[0]],
            "label": [0, 1, 0, 0],
            "suggested": [1, 0, 1, 1],
            # Ticks are kept by the page's content, and Chromium writes and clears them when it
            # likes: no two tests have the same page.
            "probability": [0.9, 0.1, 0.8, next(DISTINCT) / 1000],
            "score": [0.5, 0.4, 0.3, 0.2],
        }
    )
    path = tmp_path / "review page.html"
    write_gallery(path, cell_cards(table), images, SHEET, title="Review <1>")
    browser.send("/url", url=path.as_uri())
    folder = tmp_path / "downloads"
    folder.mkdir()
    browser.send(
        "/goog/cdp/execute",
        cmd="Browser.setDownloadBehavior",
        params={"behavior": "allow", "downloadPath": str(folder)},
    )
    return folder / "corrections.csv"


def status(browser) -> str:
    return browser.run("return document.getElementById('status').value")


def focused(browser) -> str:
    return browser.run("return document.activeElement.closest('.cell')?.dataset.id ?? ''")


def test_the_page_loads_without_a_complaint_and_shows_its_images(browser, page):
    assert browser.send("/se/log", type="browser") == []
    assert browser.run("return document.title") == "Review <1>"
    assert status(browser) == "4 shown, 0 ticked"
    widths = browser.run(
        "return Promise.all([...document.images].map(async (i) => {"
        "i.loading = 'eager'; await i.decode(); return i.naturalWidth; }))"
    )
    assert widths == [60, 60, 60]
    assert browser.run("return document.querySelectorAll('.name')[2].textContent") == CLASSES[2]


def test_filters_show_the_cells_of_a_class_and_kind(browser, page):
    browser.choose("class", CLASSES[0])
    assert status(browser) == "2 shown, 0 ticked"
    browser.choose("kind", "extra")
    assert status(browser) == "0 shown, 0 ticked"
    assert browser.run("return document.getElementById('none').hidden") is False
    browser.choose("class", "")
    assert status(browser) == "1 shown, 0 ticked"


def test_the_keyboard_alone_ticks_and_moves(browser, page):
    browser.press("right")
    assert focused(browser) == "007"
    browser.press("space", "right", "enter")
    assert focused(browser) == 'c"d'
    assert status(browser) == "4 shown, 2 ticked"
    browser.press("left", "space")
    assert status(browser) == "4 shown, 1 ticked"
    browser.choose("class", CLASSES[0])
    browser.press("right", "right")
    assert focused(browser) == "1e5"
    browser.press("/")
    assert browser.run("return document.activeElement.id") == "class"


def test_ticks_survive_a_reload_and_can_all_be_taken_back(browser, page):
    # The browser itself stores a moment after the page did, a busy machine's a long one.
    for patience in (1, 2, 4, 8):
        browser.run("document.querySelector('.cell input').click()")
        assert status(browser) == "4 shown, 1 ticked"
        time.sleep(patience)
        browser.send("/refresh")
        if status(browser) == "4 shown, 1 ticked":
            break
    assert status(browser) == "4 shown, 1 ticked"
    browser.choose("show", "ticked")
    assert status(browser) == "1 shown, 1 ticked"
    browser.run("document.getElementById('clear').click()")
    assert status(browser) == "0 shown, 0 ticked"
    assert browser.run("return document.getElementById('download').disabled") is True


def test_the_ticks_are_exported_as_corrections_that_a_table_takes(browser, page):
    browser.run("document.querySelectorAll('.cell input').forEach((box) => box.click())")
    browser.run("document.getElementById('download').click()")
    deadline = time.monotonic() + 20
    while not page.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    corrections = read_corrections(page)
    assert corrections.to_numpy().tolist() == [
        ["007", CLASSES[0], "1"],
        ["a,b", CLASSES[1], "0"],
        ['c"d', CLASSES[2], "1"],
        ["1e5", CLASSES[0], "1"],
    ]
    labels = pd.DataFrame({"img": ["1e5", 'c"d', "a,b", "007"]})
    labels[CLASSES] = [["0", "0", "0"], ["0", "0", "0"], ["0", "1", "0"], ["0", "1", "0"]]
    corrected = apply_corrections(labels, corrections, id_column="img", classes=CLASSES)
    assert corrected.changed == 4
    assert corrected.frame[CLASSES].to_numpy().tolist() == [
        ["1", "0", "0"], ["0", "0", "1"], ["0", "0", "0"], ["1", "1", "0"],
    ]  # fmt: skip
