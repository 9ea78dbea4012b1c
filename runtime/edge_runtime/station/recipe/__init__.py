"""What a station is, as its user writes it: one YAML file, read strictly, every mistake told with its line."""
