"""What only a GPU can show: agreement with NumPy, speed against the chip, wide networks, exact moments."""
