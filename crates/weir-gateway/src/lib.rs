//! Enforcement on LLM traffic: identify, decide, enforce, send, classify, record.
