"""Pictures in files: one small file a format, each of which gives a whole picture or says why it is none."""
