"""The rules of eft, without I/O and without a clock: time is always passed in."""
