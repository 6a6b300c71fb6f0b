"""`python -m demo`: the portal and three gateways on loopback. `--detach` leaves them running, `--stop` ends them."""

from __future__ import annotations

import argparse
import fcntl
import json
from pathlib import Path
import ssl
import sys
import time
from typing import Any
import urllib.error
import urllib.request

from demo.place import ROOT, Gateway, Place
from demo.portal import OPERATIONS_PORT, Portal
from demo.processes import Process, remember, remembered, start, stop
from eft.sftp_temp.host_keys import fingerprints

READY_WITHIN_S = 60.0
CASES = {
    "us": [("CS-1001", "Gateway drops calls after the upgrade"), ("CS-1002", "Core dump of the media server")],
    "emea": [("CS-2001", "Agents cannot sign in")],
    "apac": [("CS-3001", "Traces of a slow report")],
}


def main() -> None:
    options = argparse.ArgumentParser(prog="demo", description=__doc__)
    options.add_argument("--detach", action="store_true", help="return when all are ready, and leave them running")
    options.add_argument("--stop", action="store_true", help="end what a detached start left running")
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the demo keeps everything")
    options.add_argument("--workers", type=int, default=1, help="workers for each gateway")
    chosen = options.parse_args()
    place = Place(chosen.var.absolute())
    place.var.mkdir(parents=True, exist_ok=True)
    with (place.var / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if chosen.stop:
            stop(remembered(place.processes_file))
            remember(place.processes_file, [])
            print("The demo is stopped. Its data is kept under var/.")
            return
        running = bring_up(place, chosen.workers)
        describe(place, running)
        summary(place)
    if not chosen.detach:
        watch(place, running)


def bring_up(place: Place, workers: int) -> list[Process]:
    """Starts what does not run, waits until the portal and every gateway are ready, and sees to the sample cases."""
    place.prepare()
    running = {process.name: process for process in remembered(place.processes_file)}
    serve = ["serve", "--workers", str(workers)]
    parts: list[tuple[str, Gateway | Portal, list[str]]] = [(each.region, each, serve) for each in place.gateways]
    parts.append(("portal", place.portal, ["portal", "serve"]))
    for name, part, command in parts:
        process = running.get(name)
        if process is not None and not answers(part, "/healthz"):
            stop([process])
            process = None
        if process is None:
            running[name] = start(name, [str(place.eft), *command, "--config", str(part.config)], log_of(part))
            remember(place.processes_file, list(running.values()))
    deadline = time.monotonic() + READY_WITHIN_S
    for name, part, _ in parts:
        while not answers(part, "/readyz"):
            if not running[name].is_alive or time.monotonic() > deadline:
                log = log_of(part).read_text(errors="replace").splitlines()[-5:]
                stop(list(running.values()))
                what = "portal" if name == "portal" else f"gateway {name}"
                raise SystemExit("\n".join([f"The {what} did not start. The end of its log:", *log]))
            time.sleep(0.05)
    for gateway in place.gateways:
        for case_id, subject in CASES[gateway.region]:
            ensure_case(place, gateway, case_id, subject)
    return list(running.values())


def log_of(part: Gateway | Portal) -> Path:
    return part.directory / ("portal.log" if isinstance(part, Portal) else "gateway.log")


def answers(part: Gateway | Portal, path: str) -> bool:
    try:
        with urllib.request.urlopen(part.operations_url + path, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ensure_case(place: Place, gateway: Gateway, case_id: str, subject: str) -> None:
    """Creates a sample case, unless it is there: what was done to it since stays."""
    try:
        call(place, gateway, "GET", f"cases/{case_id}")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        call(place, gateway, "PUT", f"cases/{case_id}", {"organisation": "Example Ltd", "subject": subject, "status": "open"})


def call(place: Place, gateway: Gateway, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """One call of the control API."""
    request = urllib.request.Request(f"{gateway.url}/api/v1/{path}", method=method)
    request.add_header("Authorization", f"Bearer {gateway.token_file.read_text().strip()}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    trust = ssl.create_default_context(cafile=str(place.ca_file))
    with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def describe(place: Place, running: list[Process]) -> None:
    """Writes `var/demo.json`, for scripts."""
    regions = {}
    cases = []
    for gateway in place.gateways:
        regions[gateway.region] = {
            "https": gateway.url,
            "ops": f"http://localhost:{gateway.operations_port}",
            "sftp_host": "localhost",
            "sftp_port": gateway.sftp_port,
            "host_key_fingerprints": fingerprints(gateway.host_keys),
            "api_token": gateway.token_file.read_text().strip(),
            "config": str(gateway.config),
        }
        listed = call(place, gateway, "GET", "cases?limit=100")["items"]
        cases += [{"id": case["id"], "region": gateway.region, "status": case["status"]} for case in listed]
    told = {
        "ca": str(place.ca_file),
        "eft": str(place.eft),
        "portal": {"url": place.portal.url, "ops": f"http://localhost:{OPERATIONS_PORT}"},
        "regions": regions,
        "staff": place.portal.sign_in("staff"),
        "customer": place.portal.sign_in("customer"),
        "cases": cases,
        "pids": [process.pid for process in running],
    }
    replacement = place.file.with_suffix(".new")
    replacement.touch(mode=0o600)
    replacement.write_text(json.dumps(told, indent=2) + "\n")
    replacement.replace(place.file)


def summary(place: Place) -> None:
    us = place.gateways[0]
    print(f"eft is running on this machine. The portal: {place.portal.url}\n")
    for who in ("customer", "staff"):
        person = place.portal.sign_in(who)
        print(f"  {who:9} {person['email']:24} password {person['password']}")
    print()
    for gateway in place.gateways:
        print(f"  {gateway.region:5} {gateway.url}   sftp -P {gateway.sftp_port} localhost   {gateway.operations_url}/readyz")
    print(f"""
Everything for scripts, tokens included: {place.file}
The authority that signed the certificates: {place.ca_file} (browsers warn until they know it)
Mail, such as links that reset a password, is written to {place.portal.mail}, and printed here until Ctrl-C.

Sign in to the portal as the customer, open the case CS-1001 and press Transfer Files. Sign in as staff, in another browser
or a private window, and open Queue, or the same case.

Or try a temporary SFTP account of the case from the command line, for 120 hours:

  {place.eft} account create CS-1001 --config {us.config}

Or send a file with eft send, by an upload token of the case; the case page has one too, and lines for plain curl:

  export EFT_TOKEN=$(curl -s --cacert {place.ca_file} -X POST {us.url}/api/v1/cases/CS-1001/upload-tokens \\
      -H "Authorization: Bearer $(cat {us.token_file})" -H 'Content-Type: application/json' -d '{{}}' | \\
      {sys.executable} -c 'import json, sys; print(json.load(sys.stdin)["token"])')
  {place.eft} send README.md --to {us.url} --ca {place.ca_file}
""")


def watch(place: Place, running: list[Process]) -> None:
    """Stays until Ctrl-C, or until one of them ends by itself; then ends all. Prints mail that the portal sends meanwhile."""
    print("Ctrl-C stops it. All logs are under var/.")
    seen: set[str] = set()
    place.portal.mails(seen)
    try:
        while all(process.is_alive for process in running):
            time.sleep(0.5)
            for mail in place.portal.mails(seen):
                print(f"\n{mail}", flush=True)
        ended = [process.name for process in running if not process.is_alive]
        print(f"Ended by itself: {', '.join(ended)}; see its log under var/.", file=sys.stderr)
    except KeyboardInterrupt:
        print()
    finally:
        stop(running)
        remember(place.processes_file, [])


if __name__ == "__main__":
    main()
