//! Parsing, and finding one's way in the tree of the `cel` crate.

use cel::common::ast::{EntryExpr, Expr as Ast, IdedExpr, operators};
use cel::parser::PrattParser;
use cel::{ParseErrors, Program};

use super::{DEPTH_MAX, Remark};

/// A parsed condition.
pub(super) struct Parsed<'s> {
    pub(super) source: &'s str,
    tree: Tree,
}

/// The crate has two parsers: one is fast, the other knows where its nodes stand. The trees are the same.
enum Tree {
    Fast(IdedExpr),
    Placed(Box<Program>),
}

impl Parsed<'_> {
    pub(super) fn root(&self) -> &IdedExpr {
        match &self.tree {
            Tree::Fast(root) => root,
            Tree::Placed(program) => program.expression(),
        }
    }
}

/// Parses fast; the nodes have no places.
pub(super) fn parse(source: &str) -> Result<Parsed<'_>, Remark> {
    match PrattParser::new().parse(source) {
        Ok(root) => Ok(Parsed { source, tree: Tree::Fast(root) }),
        Err(errors) => Err(syntax_error(source, &errors)),
    }
}

/// Parses again, for the places of what is wrong. Some ten times slower.
pub(super) fn parse_with_places(source: &str) -> Option<Parsed<'_>> {
    let program = Program::compile(source).ok()?;
    Some(Parsed { source, tree: Tree::Placed(Box::new(program)) })
}

/// The first error: what follows it is mostly its echo.
fn syntax_error(source: &str, errors: &ParseErrors) -> Remark {
    let Some(error) = errors.errors.first() else {
        return Remark { start: 0, end: 0, message: "the condition is no CEL".into(), help: None };
    };
    let offsets = error.source_info.as_ref().and_then(|info| info.offset_for(error.expr_id));
    let (start, end) = offsets.map_or((0, 0), |(start, end)| range(source, start, end));
    let text = error.msg.trim_start_matches("Syntax error: ").replace('\'', "`").replace("<EOF>", "the end");
    let token = source.get(start..end).unwrap_or_default();
    Remark { start, end, message: format!("the condition is no CEL: {text}"), help: syntax_help(token) }
}

fn syntax_help(token: &str) -> Option<String> {
    let cel = match token {
        "=" => "==",
        "and" | "AND" | "&" => "&&",
        "or" | "OR" | "|" => "||",
        "not" | "NOT" => "!",
        "<>" => "!=",
        _ => return None,
    };
    Some(format!("write `{cel}`"))
}

/// The crate's offsets, made safe to slice with.
fn range(source: &str, start: u32, end: u32) -> (usize, usize) {
    let inside = |at: u32| source.floor_char_boundary(usize::try_from(at).unwrap_or(usize::MAX));
    let start = inside(start);
    (start, inside(end).max(start))
}

/// Whether the tree is deeper than is accepted, found without recursion.
pub(super) fn too_deep(parsed: &Parsed<'_>) -> Option<Remark> {
    let mut stack = vec![(parsed.root(), 1_usize)];
    while let Some((node, depth)) = stack.pop() {
        if depth > DEPTH_MAX {
            let message = format!("the condition is nested deeper than {DEPTH_MAX} levels");
            return Some(Remark { start: 0, end: 0, message, help: Some("make several rules of it".into()) });
        }
        stack.extend(children(node).into_iter().map(|child| (child, depth + 1)));
    }
    None
}

fn children(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Ast::Unspecified | Ast::Ident(_) | Ast::Literal(_) => Vec::new(),
        Ast::Call(call) => call.target.iter().map(AsRef::as_ref).chain(&call.args).collect(),
        // What the macro adds around its range and its body is not the author's.
        Ast::Comprehension(of) => vec![&of.iter_range, &of.loop_step],
        Ast::List(list) => list.elements.iter().collect(),
        Ast::Select(select) => vec![&*select.operand],
        Ast::Map(map) => map.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect(),
        Ast::Struct(of) => of.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect(),
    }
}

fn entry_children(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

impl Parsed<'_> {
    /// The token that a node is known by: an operator, a dot, a bracket, a word. The end that the crate gives is the
    /// token's last character.
    fn token(&self, node: &IdedExpr) -> Option<(usize, usize)> {
        let Tree::Placed(program) = &self.tree else { return None };
        let (first, last) = program.source_info().offset_for(node.id)?;
        Some(range(self.source, first, last.saturating_add(1)))
    }

    /// All that belongs to a node, as well as the tree tells.
    pub(super) fn span(&self, node: &IdedExpr) -> (usize, usize) {
        let own = self.token(node);
        let parts = children(node).into_iter().map(|child| self.span(child));
        let (start, end) =
            parts.chain(own).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, self.source.len()));
        match &node.expr {
            Ast::Select(select) if select.test => {
                let name = self.name_before(own.map_or(start, |own| own.0), operators::HAS);
                let dot = self.name_after(self.span(&select.operand).1, ".").unwrap_or(end);
                let field = self.name_after(dot, &select.field).unwrap_or(end);
                (name.map_or(start, |name| name.0), self.closing(field, ')'))
            }
            Ast::Select(select) => {
                (start, self.name_after(own.map_or(end, |dot| dot.1), &select.field).unwrap_or(end))
            }
            Ast::Call(call) if own.is_some_and(|own| self.source.get(own.0..own.1) == Some("(")) => {
                let name = self.name_before(own.map_or(start, |own| own.0), &call.func_name);
                (name.map_or(start, |name| name.0).min(start), self.closing(end, ')'))
            }
            Ast::List(_) => (start, self.closing(end, ']')),
            Ast::Call(call) if call.func_name == operators::INDEX => (start, self.closing(end, ']')),
            _ => (start, end),
        }
    }

    /// The name of a called function.
    pub(super) fn function_span(&self, node: &IdedExpr, name: &str) -> (usize, usize) {
        let Some(own) = self.token(node) else { return self.span(node) };
        if self.source.get(own.0..).is_some_and(|rest| rest.starts_with(name)) {
            return (own.0, own.0 + name.len());
        }
        self.name_before(own.0, name).unwrap_or(own)
    }

    /// The field of a selection.
    pub(super) fn field_span(&self, node: &IdedExpr, field: &str) -> (usize, usize) {
        let Some(dot) = self.token(node) else { return self.span(node) };
        match self.name_after(dot.1, field) {
            Some(end) => (end - field.len(), end),
            None => self.span(node),
        }
    }

    /// The operator of a call, or the word or literal itself.
    pub(super) fn token_span(&self, node: &IdedExpr) -> (usize, usize) {
        self.token(node).unwrap_or_else(|| self.span(node))
    }

    fn name_before(&self, at: usize, name: &str) -> Option<(usize, usize)> {
        let before = self.source.get(..at)?.trim_end();
        before.ends_with(name).then(|| (before.len() - name.len(), before.len()))
    }

    fn name_after(&self, at: usize, name: &str) -> Option<usize> {
        let rest = self.source.get(at..)?;
        let skipped = rest.len() - rest.trim_start().len();
        rest.trim_start().starts_with(name).then_some(at + skipped + name.len())
    }

    /// The end of a call or a list, given the end of its last part.
    fn closing(&self, at: usize, bracket: char) -> usize {
        let rest = self.source.get(at..).unwrap_or_default();
        let skipped = rest.len() - rest.trim_start().len();
        if rest.trim_start().starts_with(bracket) { at + skipped + 1 } else { at }
    }
}
