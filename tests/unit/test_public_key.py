"""Public keys as people paste them, and what else they paste. The keys were made by ssh-keygen, which tells the fingerprints."""

from __future__ import annotations

import base64
import struct

from hypothesis import given
from hypothesis import strategies as st
import pytest

from eft.domain.errors import PublicKeyInvalid
from eft.domain.public_key import KINDS, LONGEST_COMMENT, LONGEST_TEXT, PublicKey, parse_public_key

KEYS = {
    ("ssh-ed25519", 256, "SHA256:yVoCRG8sDUP8Tqw2lQw4Kz1vNd6waRKRtMwcmTef4bg"): (
        "AAAAC3NzaC1lZDI1NTE5AAAAIBC3p9K6PIVeDPoG4szLLweg9NsbOr633YJtEdC5R9no"
    ),
    ("ecdsa-sha2-nistp256", 256, "SHA256:r8h9mz0kZAMKKPNuK+p6ynfnn0Ejw1rdfLTkhs0hIuo"): (
        "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKpGTsmJgROLxipLhaUA8RJdn8/lUPDJ0BGXkFj44pJ5QlhO"
        "j7kmB97loPUf121AUggO4N6HRE7A71/SczfYuDk="
    ),
    ("ecdsa-sha2-nistp384", 384, "SHA256:mukcP7EW0inqkIik9qNWrUq6Z1PHHIymYWKDL0U4uGE"): (
        "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBPzvkU4aIV9fz/3r5MqpH+kPqzCqJKi+Touty+y/iPKh0M0B"
        "Uwm+UxOHJASP6T4JOIeRNCcodeWCS5Ht/5zXxervSeRhIxfudvInsemmRY+kB4jS9ZznPgm17qZww9tR7g=="
    ),
    ("ecdsa-sha2-nistp521", 521, "SHA256:+I36vgxU5SM8Y4snpiV6tUtl8bKFwEzh9bBqDuUfWaE"): (
        "AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAAljmh/OkCatL9eLOtgOHqbnqFMd4GkbcHknJGWI3TAE1sa"
        "LJWPGrbJJSzIQCnReNKqBwJjgBlJ+mdhXKbOw9Z4JQC48n9hgHu4YLwcYmhGXrZOVo45oYzr64d6o5Q1BwMo/3OeHPxwehD5ftJ1"
        "h1GaOjupXfWXrAbPU7G8CmZDIHF4YA=="
    ),
    ("ssh-rsa", 2048, "SHA256:xTJ6T6/1GKcYbzKUKsTyZBNC0p6E8iGhabMZWOXpFhM"): (
        "AAAAB3NzaC1yc2EAAAADAQABAAABAQDcN33QmnmVVEqCUZtilV/FCOVRgMWm9BvVa1hOc4M/lGjWGm3N5bosslm4dv6qOSl3h9gH"
        "Ojxk9iRc9/09L6EvjSXkgb+xw4wa+3vayiFJM/utrfHzvSJaGN9mVw++2htQIoxnTU0n342KhlDusWbTDC4y+BYPOBt8DQkLHTrj"
        "wYkRm2E57eK0wolX1ywGHEb1O4yV9MMtyWLcJISiMs7pPo1axbLbC1yzlzUe9cFqfyraBOrINHm/GvdyN9GXF4S4+xTfSXzbbmk4"
        "dV6bvpl4COTOfyO8Yw39TfYGe+j08uHQ1ug71dwba2svzL2pRRrovq2uIQApQYoMdEwYULr/"
    ),
}
KIND = "ssh-ed25519"
BASE64 = next(text for (kind, _, _), text in KEYS.items() if kind == KIND)


def rfc4716(encoded: str, *headers: str) -> str:
    lines = [encoded[at : at + 70] for at in range(0, len(encoded), 70)]
    return "\n".join(("---- BEGIN SSH2 PUBLIC KEY ----", *headers, *lines, "---- END SSH2 PUBLIC KEY ----", ""))


def putty(kind: str, encoded: str, *more: str) -> str:
    lines = [encoded[at : at + 64] for at in range(0, len(encoded), 64)]
    head = (f"PuTTY-User-Key-File-3: {kind}", "Encryption: none", "Comment: from PuTTYgen", f"Public-Lines: {len(lines)}")
    return "\r\n".join((*head, *lines, *more, ""))


def fields(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def line(kind: str, *parts: bytes) -> str:
    return f"{kind} {base64.b64encode(fields(kind.encode(), *parts)).decode()}"


def rsa(bits: int, exponent: int = 65537) -> str:
    modulus = (1 << (bits - 1)) + 1
    return line("ssh-rsa", *(number.to_bytes(number.bit_length() // 8 + 1, "big") for number in (exponent, modulus)))


def refused(text: str) -> str:
    with pytest.raises(PublicKeyInvalid) as error:
        parse_public_key(text)
    assert error.value.remedy
    return error.value.detail


@pytest.mark.parametrize(("kind", "bits", "fingerprint"), KEYS)
def test_each_form_of_a_key_is_the_same_key(kind: str, bits: int, fingerprint: str) -> None:
    encoded = KEYS[kind, bits, fingerprint]
    blob = base64.b64decode(encoded)
    forms = {
        f"{kind} {encoded}": "",
        f"\ufeff  {kind}   {encoded} ann@example.com of the laptop \r\n\n": "ann@example.com of the laptop",
        rfc4716(encoded): "",
        rfc4716(encoded, "Subject: ann", 'Comment: "a key that is \\', 'continued"'): "a key that is continued",
        putty(kind, encoded): "from PuTTYgen",
    }
    for text, comment in forms.items():
        key = parse_public_key(text)
        assert key == PublicKey(kind, bits, blob, comment)
        assert key.fingerprint == fingerprint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no public key here"),
        ("\n \r\n", "no public key here"),
        ("x" * (LONGEST_TEXT + 1), "too long"),
        ("hello", "not a public key"),
        ("SHA256:yVoCRG8sDUP8Tqw2lQw4Kz1vNd6waRKRtMwcmTef4bg", "not a public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----", "private key"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nb3Bl", "private key"),
        ("notes\n-----BEGIN RSA PRIVATE KEY-----\nb3Bl", "private key"),
        (putty(KIND, BASE64, "Private-Lines: 1", "AAAA", "Private-MAC: 00"), "private key"),
        ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nAAAA", "private key"),
        ("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----", "PEM"),
        ("-----BEGIN CERTIFICATE-----\nMCow\n-----END CERTIFICATE-----", "PEM"),
        (f"{KIND} {BASE64} a\n{KIND} {BASE64} b", "several lines"),
        (f"{KIND} {BASE64[:30]}\n{BASE64[30:]}", "several lines"),
        (rfc4716(BASE64) + rfc4716(BASE64), "several keys"),
        (rfc4716(BASE64).rpartition("---- END")[0], "not whole"),
        (f'from="192.0.2.1" {KIND} {BASE64}', "options"),
        (f'command="ls -l",no-pty {KIND} {BASE64}', "options"),
        (f"cert-authority {KIND} {BASE64}", "options"),
        (f"ssh-dss {BASE64}", "DSA"),
        (f"ssh-ed25519-cert-v01@openssh.com {BASE64}", "certificate"),
        (rfc4716(base64.b64encode(fields(b"ssh-rsa-cert-v01@openssh.com", b"x")).decode()), "certificate"),
        (f"sk-ssh-ed25519@openssh.com {BASE64}", "hardware tokens"),
        (line("ssh-ed448", bytes(57)), "this type"),
        (KIND, "cut off"),
        (f"{KIND} {BASE64[:-4]}", "damaged or cut off"),
        (f"{KIND} {BASE64}AAAA", "damaged or cut off"),
        (f"{KIND} {BASE64[:20]}!{BASE64[21:]}", "damaged or cut off"),
        (f"ssh-rsa {BASE64}", "damaged or cut off"),
        (line(KIND, bytes(31)), "damaged or cut off"),
        (line("ecdsa-sha2-nistp256", b"nistp384", b"\x04" + bytes(64)), "damaged or cut off"),
        (line("ecdsa-sha2-nistp256", b"nistp256", b"\x04" + bytes(64)), "damaged or cut off"),
        (line("ecdsa-sha2-nistp256", b"nistp256", b"\x02" + bytes(32)), "damaged or cut off"),
        (putty(KIND, BASE64).replace("Public-Lines: 2", "Public-Lines: 9"), "not whole"),
        (rsa(1024), "1024 bits"),
        (rsa(2047), "2047 bits"),
        (rsa(16384), "16384 bits"),
        (rsa(2048, 1), "damaged or cut off"),
        (rsa(2048, 65536), "damaged or cut off"),
        (rsa(2048, 2**65 + 1), "damaged or cut off"),
    ],
)
def test_what_is_no_key_is_refused_with_what_it_is(text: str, told: str) -> None:
    assert told in refused(text)


def test_a_private_key_is_nowhere_in_what_is_said_of_it() -> None:
    secret = "c2VjcmV0IGtleQ"
    assert secret not in refused(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}\n-----END OPENSSH PRIVATE KEY-----")


def test_a_comment_is_shown_as_one_short_line() -> None:
    key = parse_public_key(f"{KIND} {BASE64} a\tb\u202ec\x1b[31m" + "d" * 1000)
    assert key.comment.isprintable()
    assert len(key.comment) == LONGEST_COMMENT


@given(st.text() | st.builds(lambda kind, blob: f"{kind} {base64.b64encode(blob).decode()}", st.sampled_from(KINDS), st.binary()))
def test_any_text_is_a_key_or_is_refused(text: str) -> None:
    try:
        key = parse_public_key(text)
    except PublicKeyInvalid:
        return
    assert key.kind in KINDS
    assert parse_public_key(f"{key.kind} {base64.b64encode(key.blob).decode()}").blob == key.blob
