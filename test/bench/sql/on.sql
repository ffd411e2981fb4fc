-- From here on the server says what each statement takes.
SET client_min_messages = log;
SET log_statement_stats = on;
