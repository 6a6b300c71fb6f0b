"""The commands: `eft serve` with its supervisor and workers, and one file for each noun that an administrator acts on."""
