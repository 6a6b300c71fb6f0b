"""What time does to a closed case: after 30 days its key and its bytes go (R19-R21, P6)."""
