"""Measurements from outside: eft beside its peers, in one run. Black box: nothing here imports eft."""
