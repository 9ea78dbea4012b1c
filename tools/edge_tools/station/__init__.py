"""The station tried as a line tries it: kills, power cuts, outages, belts, damage, months; and how fast it is."""
