"""The kinds of data sets: each file reads one, and nothing here decodes."""
