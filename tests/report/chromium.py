"""A headless Chromium, driven over its DevTools protocol: what a page logs, what it asks for, what it paints, and clicks in it."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-dev-shm-usage --no-first-run --hide-scrollbars "
    "--enable-unsafe-swiftshader --remote-debugging-port=0 --remote-allow-origins=*"
).split()
PATIENCE_S = 60.0
HARMLESS = ("GPU stall due to ReadPixels",)
"""What software rendering says about a picture that is read back, which a test does."""


def executable() -> str | None:
    return next(filter(None, map(shutil.which, EXECUTABLES)), None)


class Chromium:
    """One browser with one page; a context manager."""

    def __init__(self, *flags: str) -> None:
        import websocket

        program = executable()
        assert program is not None
        self.profile = tempfile.TemporaryDirectory(prefix="shapekit-chromium-", ignore_cleanup_errors=True)
        command = [program, *FLAGS, *flags, f"--user-data-dir={self.profile.name}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        told = Path(self.profile.name) / "DevToolsActivePort"
        self._until(lambda: told.exists() and "\n" in told.read_text(), "start")
        port, path = told.read_text().split("\n")[:2]
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=PATIENCE_S, suppress_origin=True)
        self.session: str | None = None
        self.count = 0
        self.events: list[dict] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self.profile.cleanup()

    def _until(self, done, what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, f"Chromium did not {what} within {PATIENCE_S:.0f} s"
            assert self.process.poll() is None, "Chromium ended early"
            time.sleep(0.02)

    def call(self, method: str, **params: object) -> dict:
        """Send a command and return its result; events that arrive meanwhile are kept."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.count:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def open(self, path: Path, *, width: int = 1400, height: int = 1000, scheme: str = "light", scripts: bool = True) -> None:
        """Open a file and wait until its viewer stands, or has said that it cannot."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Page.navigate", url=path.resolve().as_uri())
        self._until(lambda: self.value("document.readyState") == "complete", "load the page")
        if scripts:
            self._until(lambda: self.value("document.body.dataset.viewer") is not None, "open the viewer")
            self.settle()

    def value(self, expression: str) -> object:
        """Evaluate JavaScript; a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True)
        assert "exceptionDetails" not in answer, answer.get("exceptionDetails")
        return answer["result"].get("value")

    def settle(self) -> None:
        """Wait for two frames: what was asked for is painted by then."""
        self.value("new Promise((done) => { setTimeout(done, 1000); requestAnimationFrame(() => requestAnimationFrame(done)); })")

    def click(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="none" if kind == "mouseMoved" else "left", clickCount=1)
        self.settle()

    def click_on(self, selector: str) -> None:
        """Scroll an element into view and click its middle."""
        script = f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
        x, y = self.value(script + " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()")
        self.click(x, y)

    def drag(self, x: float, y: float, across: float, down: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", buttons=1, clickCount=1)
        for step in range(1, 6):
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + across * step / 5, y=y + down * step / 5, button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x + across, y=y + down, button="left", clickCount=1)
        self.settle()

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)
        self.settle()

    def canvas(self) -> np.ndarray:
        """Return the spine as painted, (h, w, 4) in 0-1."""
        from PIL import Image

        url = self.value("document.getElementById('spine').toDataURL('image/png')")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(str(url).split(",")[1]))).convert("RGBA")) / 255.0

    def box(self, element: str) -> dict:
        """Where an element, named by JavaScript, lies on the screen."""
        return json.loads(str(self.value(f"JSON.stringify(({element}).getBoundingClientRect())")))

    def middle_of(self, level: str) -> tuple[float, float]:
        """Where a body is on the screen: at its label's height, in the middle of what is painted there."""
        self.value("document.getElementById('spine').scrollIntoView({block: 'center'})")
        spine = self.box("document.getElementById('spine')")
        label = self.box(f"[...document.querySelectorAll('#labels span')].find((e) => e.textContent === '{level}')")
        y = label["y"] + label["height"] / 2
        across = np.flatnonzero(self.canvas()[int(y - spine["y"]), :, 3] > 0.99)
        return spine["x"] + float(across.min() + across.max()) / 2, y

    def complaints(self) -> list[str]:
        """Everything the page logged, and every exception nobody caught."""
        self.settle()
        said = []
        for event in self.events:
            params = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                said.append(str(params["exceptionDetails"]))
            elif event.get("method") == "Runtime.consoleAPICalled":
                said.append(str(params["args"]))
            elif event.get("method") == "Log.entryAdded":
                said.append(params["entry"]["text"])
        return [text for text in said if not any(word in text for word in HARMLESS)]

    def requests(self) -> list[str]:
        """Addresses the page asked for, itself included."""
        return [event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]

    def screenshot(self, *, whole: bool = False) -> bytes:
        options: dict[str, object] = {"format": "png"}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options |= {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}
        return base64.b64decode(self.call("Page.captureScreenshot", **options)["data"])
