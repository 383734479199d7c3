//! From the syntax tree to typed [`Expr`]s: names resolved, types checked, everything else refused with a reason.

mod calls;
mod macros;
mod names;
mod operators;
mod specialize;
mod types;

pub(crate) use calls::functions;

use cel::common::ast::{Expr as Ast, IdedExpr, ListExpr, LiteralValue, SelectExpr};

use super::ast::Parsed;
use super::{Compiled, NODES_MAX, Patterns, Remark, Source};
use crate::expr::{Const, Expr};
use crate::facts::Fact;
use types::{Type, type_of_const};

/// A checked expression.
struct Lowered {
    expr: Expr,
    ty: Type,
}

impl Lowered {
    fn new(expr: Expr, ty: Type) -> Self {
        Self { expr, ty }
    }

    fn bool(expr: Expr) -> Self {
        Self { expr, ty: Type::Bool }
    }

    fn constant(value: Const) -> Self {
        let ty = type_of_const(&value);
        Self { expr: Expr::Const(value), ty }
    }
}

/// What a variable of `exists` or `all` stands for.
#[derive(Clone)]
enum Binding {
    /// A value that is known only at run time.
    Slot(usize, Type),
    /// An element of a literal list, which is written out.
    Element(Const),
}

/// The state of one condition's check.
struct Lowering<'l> {
    source: &'l Source<'l>,
    parsed: &'l Parsed<'l>,
    patterns: &'l mut Patterns,
    variables: Vec<(String, Binding)>,
    nodes: usize,
    errors: Vec<Remark>,
    warnings: Vec<Remark>,
}

/// Lowers a parsed condition.
pub(super) fn lower(source: &Source<'_>, parsed: &Parsed<'_>, patterns: &mut Patterns) -> Compiled {
    let mut lowering = Lowering::new(source, parsed, patterns);
    let root = parsed.root();
    let expr = lowering.expr(root).and_then(|lowered| match lowered.ty {
        Type::Bool | Type::Dyn => Some(lowered.expr),
        other => {
            let message = format!("a condition is a bool, this is {}", other.with_article());
            lowering.error(parsed.span(root), message, None)
        }
    });
    // An element that is written out again reports the same again.
    lowering.errors.dedup();
    lowering.warnings.dedup();
    let expr = match expr {
        Some(expr) if lowering.errors.is_empty() => Ok(expr),
        _ => Err(lowering.errors),
    };
    Compiled { expr, warnings: lowering.warnings }
}

/// Lowers a part of a condition that compiles as a whole, of whatever type it is.
pub(super) fn lower_part(
    source: &Source<'_>,
    parsed: &Parsed<'_>,
    patterns: &mut Patterns,
    node: &IdedExpr,
) -> Option<Expr> {
    Lowering::new(source, parsed, patterns).expr(node).map(|lowered| lowered.expr)
}

impl<'l> Lowering<'l> {
    fn new(source: &'l Source<'l>, parsed: &'l Parsed<'l>, patterns: &'l mut Patterns) -> Self {
        Self {
            source,
            parsed,
            patterns,
            variables: Vec::new(),
            nodes: 0,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reports an error; the result stands for the expression that there is not.
    fn error<T>(
        &mut self,
        span: (usize, usize),
        message: impl Into<String>,
        help: Option<String>,
    ) -> Option<T> {
        self.errors.push(Remark { start: span.0, end: span.1, message: message.into(), help });
        None
    }

    fn warn(&mut self, span: (usize, usize), message: impl Into<String>, help: Option<String>) {
        self.warnings.push(Remark { start: span.0, end: span.1, message: message.into(), help });
    }

    /// Lowers a node, or reports why it cannot be.
    fn expr(&mut self, node: &IdedExpr) -> Option<Lowered> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            if self.nodes == NODES_MAX + 1 {
                let message =
                    format!("the condition has more than {NODES_MAX} parts once its lists are written out");
                return self.error(self.parsed.span(node), message, Some("make several rules of it".into()));
            }
            return None;
        }
        match &node.expr {
            Ast::Unspecified => self.error(self.parsed.span(node), "this is no expression", None),
            Ast::Literal(literal) => self.literal(node, literal),
            Ast::Ident(name) => self.ident(node, name),
            Ast::Select(select) if select.test => self.has(node, select),
            Ast::Select(select) => self.select(node, select),
            Ast::List(list) => self.list(node, list),
            Ast::Comprehension(comprehension) => self.comprehension(node, comprehension),
            Ast::Call(call) => self.call(node, call),
            Ast::Map(_) => self.error(self.parsed.span(node), "map literals are not supported", None),
            Ast::Struct(_) => self.error(self.parsed.span(node), "message literals are not supported", None),
        }
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Option<Lowered> {
        let value = match literal {
            LiteralValue::Boolean(value) => Const::Bool(*value.inner()),
            LiteralValue::Int(value) => Const::Int(*value.inner()),
            LiteralValue::Double(value) => Const::Double(*value.inner()),
            LiteralValue::String(value) => Const::Str(value.inner().into()),
            LiteralValue::Null => Const::Null,
            LiteralValue::UInt(_) => {
                let help = Some("leave out the `u`".to_owned());
                return self.error(self.parsed.token_span(node), "unsigned numbers are not supported", help);
            }
            LiteralValue::Bytes(_) => {
                let help = Some("leave out the `b`".to_owned());
                return self.error(self.parsed.token_span(node), "bytes are not supported", help);
            }
        };
        Some(Lowered::constant(value))
    }

    fn ident(&mut self, node: &IdedExpr, name: &str) -> Option<Lowered> {
        if let Some(binding) = self.variable(name) {
            return Some(match binding {
                Binding::Slot(at, ty) => Lowered::new(Expr::Var(at), ty),
                Binding::Element(value) => Lowered::constant(value),
            });
        }
        let span = self.parsed.token_span(node);
        if name == Fact::Now.root() {
            return Some(Lowered::new(Expr::Fact(Fact::Now), Type::Time));
        }
        let (message, help) = names::unknown_name(name, self.source.on);
        self.error(span, message, help)
    }

    fn variable(&self, name: &str) -> Option<Binding> {
        self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, binding)| binding.clone())
    }

    /// The fact that a selection names, if its operand is a root; reports one that is unknown.
    fn fact(&mut self, node: &IdedExpr, select: &SelectExpr) -> Option<Option<Fact>> {
        let Ast::Ident(root) = &select.operand.expr else { return Some(None) };
        if self.variable(root).is_some() || root == Fact::Now.root() {
            return Some(None);
        }
        let on = self.source.on;
        if let Err((message, help)) = names::check_root(root, on) {
            return self.error(self.parsed.token_span(&select.operand), message, help);
        }
        let Some(fact) = Fact::find(root, &select.field) else {
            let (message, help) = names::unknown_field(root, &select.field);
            return self.error(self.parsed.field_span(node, &select.field), message, help);
        };
        match self.source.forbidden {
            Some((forbidden, reason)) if forbidden == fact => {
                self.error(self.parsed.span(node), reason, None)
            }
            _ => Some(Some(fact)),
        }
    }

    fn select(&mut self, node: &IdedExpr, select: &SelectExpr) -> Option<Lowered> {
        if let Some(fact) = self.fact(node, select)? {
            return Some(Lowered::new(Expr::Fact(fact), Type::of_fact(fact)));
        }
        let operand = self.expr(&select.operand)?;
        match (operand.ty, operand.expr) {
            (Type::Dyn, of) => {
                Some(Lowered::new(Expr::Member(Box::new(of), select.field.as_str().into()), Type::Dyn))
            }
            (Type::Map, Expr::Fact(fact)) => {
                let name = select.field.to_ascii_lowercase();
                Some(Lowered::new(Expr::Header(fact, name.into()), Type::Str))
            }
            (ty, _) => {
                let message = format!("{} has no fields", ty.with_article());
                self.error(self.parsed.field_span(node, &select.field), message, None)
            }
        }
    }

    fn has(&mut self, node: &IdedExpr, select: &SelectExpr) -> Option<Lowered> {
        if let Some(fact) = self.fact(node, select)? {
            let message = format!(
                "`has({})` is always true: facts are present, empty or zero when unknown",
                fact.path()
            );
            self.warn(self.parsed.span(node), message, Some("compare with the empty value instead".into()));
            return Some(Lowered::bool(Expr::TRUE));
        }
        let operand = self.expr(&select.operand)?;
        match (operand.ty, operand.expr) {
            (Type::Dyn, of) => {
                Some(Lowered::bool(Expr::HasMember(Box::new(of), select.field.as_str().into())))
            }
            (Type::Map, Expr::Fact(fact)) => {
                let name = Const::Str(select.field.to_ascii_lowercase().into());
                Some(Lowered::bool(Expr::HasName(fact, Box::new(Expr::Const(name)))))
            }
            (ty, _) => {
                let message = format!("{} has no fields", ty.with_article());
                self.error(self.parsed.span(node), message, None)
            }
        }
    }

    /// Lists are literal: literals of one type.
    fn list(&mut self, node: &IdedExpr, list: &ListExpr) -> Option<Lowered> {
        let mut items = Vec::with_capacity(list.elements.len());
        let mut element: Option<Type> = None;
        for item in &list.elements {
            let lowered = self.expr(item)?;
            let span = self.parsed.span(item);
            let Expr::Const(value) = lowered.expr else {
                let help = Some("compare with each value: `a == b || a == c`".to_owned());
                return self.error(span, "the elements of a list must be literals", help);
            };
            if matches!(value, Const::List(_)) {
                return self.error(span, "lists of lists are not supported", None);
            }
            let known = element.get_or_insert_with(|| lowered.ty.clone());
            if !known.comparable_with(&lowered.ty) {
                let message = format!(
                    "the elements of a list have one type: {} and {}",
                    known.name(),
                    lowered.ty.name()
                );
                return self.error(span, message, None);
            }
            items.push(value);
        }
        if !list.optional_indices.is_empty() {
            return self.error(self.parsed.span(node), "optional elements are not supported", None);
        }
        let ty = Type::List(Box::new(element.unwrap_or(Type::Dyn)));
        Some(Lowered::new(Expr::Const(Const::List(items.into())), ty))
    }
}
