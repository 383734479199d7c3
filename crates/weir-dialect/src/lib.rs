//! What weir must read or write of OpenAI chat and responses, Anthropic messages and SSE. Pure.
