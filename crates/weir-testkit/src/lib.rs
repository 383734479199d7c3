//! For tests only: a scripted upstream, a scripted classifier, a clock moved by hand, real Redis and PostgreSQL.
