"""Rules: from what was seen in a picture to OK, WARN or NG, each with the name of the rule that says so."""
