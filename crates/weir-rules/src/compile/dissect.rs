//! A condition taken apart, for people: its parts along `&&`, `||` and `!`, each with its text, lowered by itself.

use cel::common::ast::{Expr as Ast, IdedExpr, operators};

use super::ast::Parsed;
use super::{Patterns, STACK_BYTES, Source, ast, lower, scan};
use crate::expr::Expr;
use crate::facts::{Fact, roots_on};

/// How a piece is made of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    All,
    Any,
    Not,
    Test,
}

/// A condition or a part of one, with the bytes of the condition that are its text.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) kind: PieceKind,
    pub(crate) span: (usize, usize),
    pub(crate) expr: Expr,
    /// What a test compares: facts and computed values, each once.
    pub(crate) operands: Vec<Operand>,
    pub(crate) pieces: Vec<Piece>,
}

/// Something that a test reads.
#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) span: (usize, usize),
    pub(crate) expr: Expr,
}

/// Takes conditions apart, in order; nothing for one that does not compile.
pub(crate) fn dissect_all(sources: &[Source<'_>]) -> Vec<Option<Piece>> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let started = thread.spawn_scoped(scope, || {
            let mut patterns = Patterns::default();
            sources.iter().map(|source| dissect(source, &mut patterns)).collect::<Vec<_>>()
        });
        let finished = started.ok().and_then(|thread| thread.join().ok());
        finished.unwrap_or_else(|| sources.iter().map(|_| None).collect())
    })
}

fn dissect(source: &Source<'_>, patterns: &mut Patterns) -> Option<Piece> {
    if scan::refuse(source.when).is_some() {
        return None;
    }
    let parsed = ast::parse_with_places(source.when)?;
    if ast::too_deep(&parsed).is_some() {
        return None;
    }
    Dissection { source, parsed: &parsed, patterns }.piece(parsed.root())
}

struct Dissection<'d> {
    source: &'d Source<'d>,
    parsed: &'d Parsed<'d>,
    patterns: &'d mut Patterns,
}

impl Dissection<'_> {
    fn lowered(&mut self, node: &IdedExpr) -> Option<Expr> {
        lower::lower_part(self.source, self.parsed, self.patterns, node)
    }

    fn span(&self, node: &IdedExpr) -> (usize, usize) {
        balanced(self.source.when, self.parsed.span(node))
    }

    fn piece(&mut self, node: &IdedExpr) -> Option<Piece> {
        let (kind, parts) = match &node.expr {
            Ast::Call(call) if call.func_name == operators::LOGICAL_AND => {
                (PieceKind::All, flattened(node, operators::LOGICAL_AND))
            }
            Ast::Call(call) if call.func_name == operators::LOGICAL_OR => {
                (PieceKind::Any, flattened(node, operators::LOGICAL_OR))
            }
            Ast::Call(call) if call.func_name == operators::LOGICAL_NOT => {
                (PieceKind::Not, call.args.iter().collect())
            }
            _ => (PieceKind::Test, Vec::new()),
        };
        let expr = self.lowered(node)?;
        let pieces = parts.into_iter().map(|part| self.piece(part)).collect::<Option<Vec<Piece>>>()?;
        let mut operands = Vec::new();
        if kind == PieceKind::Test {
            self.operands(node, true, &mut operands);
        }
        let span = match (pieces.first(), pieces.last()) {
            // What `&&` and `||` join is all there is to them: their places may be those of parentheses around.
            (Some(first), Some(last)) if kind != PieceKind::Not => {
                balanced(self.source.when, (first.span.0, last.span.1))
            }
            _ => self.span(node),
        };
        Some(Piece { kind, span, expr, operands, pieces })
    }

    /// The facts that a test reads and the values that it computes from them; the test's own value is told already.
    fn operands(&mut self, node: &IdedExpr, is_test: bool, found: &mut Vec<Operand>) {
        if is_path(node, self.source) {
            return self.operand(node, found);
        }
        match &node.expr {
            Ast::Unspecified
            | Ast::Ident(_)
            | Ast::Literal(_)
            | Ast::List(_)
            | Ast::Map(_)
            | Ast::Struct(_) => {}
            Ast::Select(select) => self.operands(&select.operand, false, found),
            // The variable of a macro has many values: what is read besides is shown.
            Ast::Comprehension(of) => {
                self.operands(&of.iter_range, false, found);
                self.operands(&of.loop_step, true, found);
            }
            Ast::Call(call) => {
                if !is_test {
                    self.operand(node, found);
                }
                for part in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
                    // A condition within a test is no value to show.
                    self.operands(part, is_condition(part), found);
                }
            }
        }
    }

    fn operand(&mut self, node: &IdedExpr, found: &mut Vec<Operand>) {
        let span = self.span(node);
        let text = |span: (usize, usize)| self.source.when.get(span.0..span.1);
        if found.iter().any(|known| text(known.span) == text(span)) {
            return;
        }
        match self.lowered(node) {
            None | Some(Expr::Const(_)) => {}
            Some(expr) => found.push(Operand { span, expr }),
        }
    }
}

/// Whether a node is a fact, a member of one, or `now`.
fn is_path(node: &IdedExpr, source: &Source<'_>) -> bool {
    match &node.expr {
        Ast::Ident(name) => name == Fact::Now.root(),
        Ast::Select(select) if select.test => false,
        Ast::Select(select) => match &select.operand.expr {
            Ast::Ident(root) => roots_on(source.on).any(|known| known == root),
            _ => is_path(&select.operand, source),
        },
        Ast::Call(call) if call.func_name == operators::INDEX => {
            call.args.first().is_some_and(|of| is_path(of, source))
        }
        _ => false,
    }
}

/// Whether a node is boolean by its form.
fn is_condition(node: &IdedExpr) -> bool {
    const CONDITIONS: [&str; 10] = [
        operators::LOGICAL_AND,
        operators::LOGICAL_OR,
        operators::LOGICAL_NOT,
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::LESS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::GREATER_EQUALS,
        operators::IN,
    ];
    // `cidr("…")` is a network, which has no value of its own.
    const CALLS: [&str; 6] = ["contains", "startsWith", "endsWith", "matches", "containsIP", "cidr"];
    match &node.expr {
        Ast::Call(call) => {
            let name = call.func_name.as_str();
            CONDITIONS.contains(&name) || CALLS.contains(&name)
        }
        _ => true,
    }
}

/// The operands of a chain of one operator, in order.
fn flattened<'n>(node: &'n IdedExpr, operator: &str) -> Vec<&'n IdedExpr> {
    let mut parts = Vec::new();
    let mut stack = vec![node];
    while let Some(node) = stack.pop() {
        match &node.expr {
            Ast::Call(call) if call.func_name == operator => stack.extend(call.args.iter().rev()),
            _ => parts.push(node),
        }
    }
    parts
}

/// The span, widened until its parentheses are in pairs: those around a part are no nodes of the tree.
fn balanced(source: &str, (mut start, mut end): (usize, usize)) -> (usize, usize) {
    loop {
        let (opened, closed) = unpaired(source.get(start..end).unwrap_or_default());
        if closed > 0
            && let Some(before) = source.get(..start).map(str::trim_end)
            && before.ends_with('(')
        {
            start = before.len() - 1;
        } else if opened > 0
            && let Some(after) = source.get(end..)
            && after.trim_start().starts_with(')')
        {
            end += after.len() - after.trim_start().len() + 1;
        } else {
            return (start, end);
        }
    }
}

/// How many parentheses are opened and not closed, and closed and not opened, outside of strings.
fn unpaired(text: &str) -> (usize, usize) {
    let (mut opened, mut closed) = (0_usize, 0_usize);
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(') => opened += 1,
            (None, ')') if opened > 0 => opened -= 1,
            (None, ')') => closed += 1,
            (None, _) => {}
        }
    }
    (opened, closed)
}
