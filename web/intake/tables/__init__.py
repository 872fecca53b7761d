"""Tables of leads: the role of each column, by its heading or by a mapping; and workbooks (XLSX), read by a process of their own."""
