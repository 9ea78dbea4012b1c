"""Which part of a picture is judged, and how: region, mask, tiles, registration. Answers are of the whole picture."""
