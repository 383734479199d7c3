//! Conditions: CEL text to checked, typed and bounded [`Expr`]s.
//!
//! The `cel` crate is a front end here: its parser and its AST, behind this module only. It aborts the process on input
//! that is deep enough, so sources are short, tokens are counted before parsing, and everything that touches the AST,
//! its drop included, happens on a thread with a large stack. Nothing of the crate is left when this module returns.

mod ast;
pub(crate) mod dissect;
mod lower;
mod pattern;
mod scan;

use std::collections::HashMap;
use std::sync::Arc;

use weir_core::Boundary;

use crate::expr::{Expr, Pattern};

pub(crate) use lower::functions;

/// How long a condition may be, in bytes.
pub(crate) const SOURCE_BYTES_MAX: usize = 1024;

/// How deep the syntax tree of a condition may be.
pub(crate) const DEPTH_MAX: usize = 32;

/// How many nodes a condition may have once `exists` and `all` over literal lists are written out.
pub(crate) const NODES_MAX: usize = 2_000;

/// Stack of the thread that parses: unoptimised builds need the most (reserved, not used).
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// How many threads compile a large set.
const THREADS_MAX: usize = 4;

/// How many conditions are worth a thread.
const SHARE_MIN: usize = 500;

/// A condition to compile.
pub(crate) struct Source<'s> {
    pub(crate) on: Boundary,
    pub(crate) when: &'s str,
    /// Facts that this rule may not read although its boundary knows them, with the reason.
    pub(crate) forbidden: Option<(crate::facts::Fact, &'static str)>,
}

/// Something about a condition, and the bytes of it that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// What became of a condition.
pub(crate) struct Compiled {
    pub(crate) expr: Result<Expr, Vec<Remark>>,
    pub(crate) warnings: Vec<Remark>,
}

/// Regular expressions that were compiled already: rules often share them.
pub(crate) type Patterns = HashMap<String, Arc<Pattern>, foldhash::fast::RandomState>;

/// Compiles conditions, in order: large sets on several threads.
pub(crate) fn compile_all(sources: &[Source<'_>]) -> Vec<Compiled> {
    let share = sources.len().div_ceil(THREADS_MAX).max(SHARE_MIN);
    std::thread::scope(|scope| {
        let start = |share| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            (share, thread.spawn_scoped(scope, move || compile_share(share)))
        };
        let started: Vec<_> = sources.chunks(share).map(start).collect();
        let finish =
            |(share, thread): (&[Source<'_>], std::io::Result<std::thread::ScopedJoinHandle<'_, _>>)| {
                match thread.map(std::thread::ScopedJoinHandle::join) {
                    Ok(Ok(compiled)) => compiled,
                    Ok(Err(_)) | Err(_) => share.iter().map(|_| unavailable()).collect(),
                }
            };
        started.into_iter().flat_map(finish).collect()
    })
}

fn compile_share(sources: &[Source<'_>]) -> Vec<Compiled> {
    let mut patterns = Patterns::default();
    sources.iter().map(|source| compile(source, &mut patterns)).collect()
}

/// Without a thread of its own a condition is refused rather than parsed where it could end the process.
fn unavailable() -> Compiled {
    let message = "the condition could not be compiled: no thread to parse it on".to_owned();
    Compiled { expr: Err(vec![Remark { start: 0, end: 0, message, help: None }]), warnings: Vec::new() }
}

fn compile(source: &Source<'_>, patterns: &mut Patterns) -> Compiled {
    let refused = |remark| Compiled { expr: Err(vec![remark]), warnings: Vec::new() };
    if let Some(remark) = scan::refuse(source.when) {
        return refused(remark);
    }
    let parsed = match ast::parse(source.when) {
        Ok(parsed) => parsed,
        Err(remark) => return refused(remark),
    };
    if let Some(remark) = ast::too_deep(&parsed) {
        return refused(remark);
    }
    let compiled = lower::lower(source, &parsed, patterns);
    if compiled.expr.is_ok() && compiled.warnings.is_empty() {
        return compiled;
    }
    match ast::parse_with_places(source.when) {
        Some(placed) => lower::lower(source, &placed, patterns),
        None => compiled,
    }
}

#[cfg(test)]
mod tests;
