"""Who may come in: temporary SFTP accounts and bearer tokens."""
