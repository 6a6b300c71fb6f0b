"""The HTTPS door: an HTTP/1.1 server of our own (decision 0030), and what is served on it."""
