"""Load reports, and leads as files for people, over HTTP."""
