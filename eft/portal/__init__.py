"""My Support: a process of its own, with a database of its own, that knows gateways by their control API alone."""
