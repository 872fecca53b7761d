"""The database of an old application: its tables are adopted, and the runs that it goes on inserting are taken over."""
