"""Tables that leads come in: which column is what, by its heading or by a mapping; and workbooks (XLSX), read by a process of their own."""
