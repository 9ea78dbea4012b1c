"""Repair of what int8 loses: equalization, migration, rounding, bias correction, and the gauge that judges them."""
