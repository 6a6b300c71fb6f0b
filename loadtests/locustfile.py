"""What the users of a load test do: customers who send by tus as the page and `eft send` do, with cuts and resumes, and staff who
fetch. Run by `make load`, which tells where in the file that EFT_LOAD names.

**Sizes**: half of the files have 4 to 64 KiB, 30 % up to 1 MiB, 15 % up to 8 MiB, 5 % up to 64 MiB; within each, small ones are
more frequent than large ones in the same measure (log-uniform). **Cuts**: one file in six that has 64 KiB or more is cut once in
the middle of a part, and goes on from where HEAD says. Every finished file is compared with its sender's SHA-256, every download
with the gateway's, and with the sender's where he is one of this run's.
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from collections.abc import Iterator
import hashlib
import json
import math
import os
from pathlib import Path
import random
import time
from typing import Any

from locust import HttpUser, between, events, task

KIB, MIB = 1024, 1024 * 1024
PART = 16 * MIB
"""What the page sends in one request."""

SIZES = ((0.50, 4 * KIB, 64 * KIB), (0.30, 64 * KIB, MIB), (0.15, MIB, 8 * MIB), (0.05, 8 * MIB, 64 * MIB))
CUTS, UNCHECKED, CANCELLED = 1 / 6, 1 / 4, 1 / 20
"""How many files are cut; how many parts of those have no checksum, so that a piece of them counts; how many are given up."""

_told = json.loads(Path(os.environ["EFT_LOAD"]).read_text())
_noise = memoryview(os.urandom(80 * MIB))
_finished: deque[tuple[str, str, str]] = deque(maxlen=500)
_records: list[list[Any]] = []
_began = time.time()


@events.request.add_listener
def _record(request_type: str, name: str, response_time: float, response_length: int, exception: Any, **_: object) -> None:
    kind = f"{request_type} {name}"
    _records.append([time.time() - _began, kind, response_time, response_length or 0, str(exception)[:200] if exception else ""])


@events.quitting.add_listener
def _write(environment: Any, **_: object) -> None:
    Path(_told["records"]).write_text(json.dumps(_records))


def size_of_a_file(dice: random.Random) -> int:
    """See the module."""
    at = dice.random()
    for share, least, most in SIZES:
        if at < share or most == SIZES[-1][2]:
            return round(math.exp(dice.uniform(math.log(least), math.log(most))))
        at -= share
    raise AssertionError("the shares add up to one")


def band(size: int) -> str:
    return next(f"up to {most // KIB} KiB" if most < MIB else f"up to {most // MIB} MiB" for _, _, most in SIZES if size <= most)


class Wrong(Exception):
    """The gateway said something else than it should have."""


class Cut:
    """A body that ends in the middle, and the connection with it."""

    def __init__(self, data: memoryview, after: int) -> None:
        self._data, self._after, self._at = data, after, 0

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def read(self, size: int = 64 * KIB) -> bytes:
        if self._at >= self._after:
            raise ConnectionAbortedError("cut")
        piece = self._data[self._at : min(self._at + size, self._after)]
        self._at += len(piece)
        return bytes(piece)


class _User(HttpUser):
    abstract = True
    host = _told["url"]

    def on_start(self) -> None:
        self.client.verify = _told["ca"]
        self.dice = random.Random()
        self.case = self.dice.choice(_told["cases"])

    def api(self, method: str, path: str, name: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {_told['api_token']}"}
        answer = self.client.request(method, f"/api/v1/{path}", json=body, headers=headers, name=f"API {name}")
        answer.raise_for_status()
        return answer.json()


class Customer(_User):
    """Half of them with the cookie of the Transfer Files page, half with an upload token."""

    weight = 4
    wait_time = between(*_told["pause_s"])

    def on_start(self) -> None:
        super().on_start()
        self.has_page = self.dice.random() < 0.5
        if self.has_page:
            actor = {"name": "Ada", "email": f"ada-{self.dice.getrandbits(32)}@example.com", "role": "customer"}
            url = self.api("POST", f"cases/{self.case}/launch", "launch", {"actor": actor})["url"]
            ticket = url.rpartition("/")[2]
            answer = self.client.get(f"/launch/{ticket}", name="page opened", allow_redirects=False)
            self.auth = {
                "Cookie": answer.headers["Set-Cookie"].split(";")[0],
                "Eft-Case": self.case,
                "Sec-Fetch-Site": "same-origin",
            }
        else:
            token = self.api("POST", f"cases/{self.case}/upload-tokens", "upload token", {"ttl_s": 7200})["token"]
            self.auth = {"Authorization": f"Bearer {token}"}

    @task(12)
    def send(self) -> None:
        size = size_of_a_file(self.dice)
        start = self.dice.randrange(len(_noise) - size)
        began = time.perf_counter()
        failure: Exception | None = None
        try:
            if not self._send(_noise[start : start + size]):
                return
        except Exception as wrong:  # it is a file that failed, and the user goes on
            failure = wrong
        events.request.fire(
            request_type="FILE",
            name=band(size),
            response_time=(time.perf_counter() - began) * 1000,
            response_length=size,
            exception=failure,
            context={},
        )

    @task(1)
    def wrong_offset(self) -> None:
        """Refused with the right offset, and nothing has changed."""
        data = _noise[: 256 * KIB]
        url = self._create(len(data))
        with self._patch(url, 1000, data[1000:], "wrong offset") as answer:
            if answer.status_code == 409 and answer.headers.get("Upload-Offset") == "0":
                answer.success()
            else:
                answer.failure(f"{answer.status_code}, Upload-Offset {answer.headers.get('Upload-Offset')}")
        if self._offset(url) != 0:
            raise Wrong("a refused part moved the offset")
        self._request("DELETE", url, "given up", {})

    def _send(self, data: memoryview) -> bool:
        """Whether it was sent to its end, and not given up. Raises Wrong, RequestException."""
        cut_at = self.dice.randrange(len(data)) if len(data) >= 64 * KIB and self.dice.random() < CUTS else None
        give_up = self.dice.random() < (CANCELLED if _told["finish"] else 0.5) and len(data) > 256 * KIB
        offset, was_cut = 0, False
        if not self.has_page and len(data) <= PART and cut_at is None and not give_up:
            answer = self._create(len(data), data)
            self._compare(answer, data)
            return True
        url = self._create(len(data))
        while offset < len(data):
            part = data[offset : offset + PART]
            if cut_at is not None and offset <= cut_at < offset + len(part):
                offset = self._cut(url, offset, part, cut_at - offset)
                cut_at, was_cut = None, True
                continue
            if give_up and offset + len(part) == len(data):
                self._request("DELETE", url, "given up", {})
                return False
            with self._patch(url, offset, part, band(len(part))) as answer:
                displaced = was_cut and _code(answer) == "writer-displaced"
                if displaced:
                    # The request that was cut was read only now, after this one. The remedy that it tells: ask, and go on.
                    answer.request_meta["name"] = "part displaced by the cut one"
                    answer.success()
                elif answer.status_code != 204 or answer.headers.get("Upload-Offset") != str(offset + len(part)):
                    told = answer.headers.get("Upload-Offset")
                    said = f"{answer.status_code} {_code(answer)}, Upload-Offset {told} {answer.error or ''}"
                    answer.failure(said)
                    raise Wrong(said)
            was_cut = False
            if displaced:  # all of it may be there all the same, and its digest is told to whoever asks
                answer = self._head(url)
            offset = int(answer.headers["Upload-Offset"])
        self._compare(answer, data)
        _finished.append((url.rpartition("/")[2], self.case, hashlib.sha256(data).hexdigest()))
        return True

    def _cut(self, url: str, offset: int, part: memoryview, after: int) -> int:
        """The offset where it goes on: where it was for a part with a checksum, else anywhere in what was sent."""
        checked = self.dice.random() >= UNCHECKED
        with self._patch(url, offset, part, "that is cut", after=after, checked=checked) as answer:
            answer.success()
        found = self._offset(url)
        if not offset <= found <= offset + (0 if checked else after):
            raise Wrong(f"after a cut at {offset} + {after} the offset is {found}")
        return found

    def _create(self, size: int, data: memoryview | None = None) -> Any:
        name = b64encode(f"load-{self.dice.getrandbits(64):x}.log".encode()).decode()
        headers = {"Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
        if data is not None:
            headers |= {"Content-Type": "application/offset+octet-stream", **_checksum(data)}
            return self._request("POST", "/files", f"with its bytes, {band(size)}", headers, data)
        answer = self._request("POST", "/files", "create", headers)
        return "/files/" + answer.headers["Location"].rpartition("/")[2]

    def _offset(self, url: str) -> int:
        return int(self._head(url).headers["Upload-Offset"])

    def _head(self, url: str) -> Any:
        return self._request("HEAD", url, "offset", {})

    def _request(self, method: str, url: str, name: str, headers: dict[str, str], data: memoryview | None = None) -> Any:
        headers = {"Tus-Resumable": "1.0.0", **self.auth, **headers}
        answer = self.client.request(method, url, data=bytes(data) if data else b"", headers=headers, name=name)
        answer.raise_for_status()
        return answer

    def _patch(
        self, url: str, offset: int, data: memoryview, name: str, *, after: int | None = None, checked: bool = True
    ) -> Any:
        headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        headers |= self.auth | (_checksum(data) if checked else {})
        body = bytes(data) if after is None else Cut(data, after)
        return self.client.patch(url, data=body, headers=headers, name=f"part {name}", catch_response=True)

    def _compare(self, answer: Any, data: memoryview) -> None:
        told, own = answer.headers.get("Repr-Digest"), _digest_field(data)
        if told != own:
            raise Wrong(f"Repr-Digest is {told}, and what was sent has {own}")


class Staff(_User):
    """Looks through cases, and fetches files."""

    weight = 1
    wait_time = between(*_told["pause_s"])

    @task
    def fetch(self) -> None:
        case, expected, chosen = self.dice.choice(_told["cases"]), "", ""
        if _finished:
            chosen, case, expected = self.dice.choice(list(_finished))
        found = self.api("GET", f"cases/{case}/attachments?limit=100", "list")["items"]
        known = {each["id"]: each for each in found}
        item = known.get(chosen) or (self.dice.choice(found) if found else None)
        if item is None:
            return
        headers = {"Authorization": f"Bearer {_told['api_token']}"}
        digest, size = hashlib.sha256(), 0
        with self.client.get(
            f"/api/v1/attachments/{item['id']}/content",
            headers=headers,
            name=f"API download {band(item['size'])}",
            stream=True,
            catch_response=True,
        ) as answer:
            for piece in answer.iter_content(256 * KIB):
                digest.update(piece)
                size += len(piece)
            said = digest.hexdigest()
            if answer.status_code != 200 or size != item["size"] or said != item["sha256"]:
                answer.failure(f"{answer.status_code}, {size} bytes with {said}; expected {item['size']} with {item['sha256']}")
            elif item["id"] == chosen and said != expected:
                answer.failure(f"the bytes are not those that were sent: {said} and {expected}")
            else:
                answer.success()


def _code(answer: Any) -> str:
    """Of a problem (RFC 9457); empty where the answer is none."""
    try:
        return str(answer.json().get("code", ""))
    except (ValueError, AttributeError):
        return ""


def _checksum(data: memoryview) -> dict[str, str]:
    return {"Upload-Checksum": f"sha256 {b64encode(hashlib.sha256(data).digest()).decode()}"}


def _digest_field(data: memoryview) -> str:
    return f"sha-256=:{b64encode(hashlib.sha256(data).digest()).decode()}:"
