"""The demonstration: the whole installation on one machine, on loopback, under `var/`."""
