//! From configuration text to a checked configuration, with diagnostics that name the place. Pure.
