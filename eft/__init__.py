"""eft: secure file transfer for technical-support cases."""
