"""PostgreSQL's timelines: what a database that fell back to an earlier state has forgotten."""
