"""`millrace view`: a page that shows what the SQL stores hold, live, and writes nothing."""
