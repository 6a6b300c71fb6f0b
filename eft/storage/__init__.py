"""The regional storage layer: sealed segments, manifests, the key store. Synchronous: called from threads."""
