//! Where weir keeps things: SQLite or PostgreSQL, in process or Redis; and the background decision log.
