"""Repair of what int8 loses: equalization, SmoothQuant, rounding, bias correction, and the ratio that judges them."""
