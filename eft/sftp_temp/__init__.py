"""The SFTP door: temporary accounts, and an SFTP engine of our own on asyncssh's public session interface.

::

    transport   what asyncssh is told: algorithms, keys, time limits; the only place that listens
    announcement  what a proxy says of a connection before SSH begins      limiter  failed sign-ins
    connection  one SSH connection: sign-in, its limits, its cut
    session     one SFTP channel: bytes to requests, replies to bytes, order and back-pressure
    operations  what each request does to the case's directory
    codec       SFTP version 3 without I/O: requests      replies  the same, outwards
    handles     open files and directories                reorder  writes that come out of order
    early       when those are answered
    paths       names from the wire, never outside the case
    errors      eft.domain.errors as status codes and sentences
"""
