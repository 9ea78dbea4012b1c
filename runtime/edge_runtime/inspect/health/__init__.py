"""Whether a picture is worth judging: cheap measures, limits, and what is said of a picture that meets one."""
