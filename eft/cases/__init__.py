"""What a gateway knows of a case, and what a case system may do to it."""
