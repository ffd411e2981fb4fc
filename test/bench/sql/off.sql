-- In this order: what these two take is told to nobody.
SET client_min_messages = warning;
SET log_statement_stats = off;
