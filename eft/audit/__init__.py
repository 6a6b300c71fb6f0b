"""What a gateway can prove: signed receipts of what it received."""
