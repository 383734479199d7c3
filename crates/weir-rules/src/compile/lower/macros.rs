//! `exists` and `all`. Over a literal list they are written out; over anything else they are evaluated, a bounded number
//! of times.

use cel::common::ast::{ComprehensionExpr, Expr as Ast, IdedExpr, LiteralValue, operators};

use super::types::Type;
use super::{Binding, Lowered, Lowering, specialize};
use crate::expr::{Const, Expr, Quantified, VARIABLES_MAX};

/// What a comprehension was before the parser expanded it.
enum Macro<'c> {
    Exists(&'c IdedExpr),
    All(&'c IdedExpr),
    Other(&'static str),
}

fn recognize(of: &ComprehensionExpr) -> Macro<'_> {
    let body = match &of.loop_step.expr {
        Ast::Call(call) if call.args.len() == 2 => {
            call.args.last().map(|body| (call.func_name.as_str(), body))
        }
        _ => None,
    };
    let init = match &of.accu_init.expr {
        Ast::Literal(LiteralValue::Boolean(value)) => Some(*value.inner()),
        _ => None,
    };
    match (init, body) {
        (Some(false), Some((operators::LOGICAL_OR, body))) if of.iter_var2.is_none() => Macro::Exists(body),
        (Some(true), Some((operators::LOGICAL_AND, body))) if of.iter_var2.is_none() => Macro::All(body),
        _ if matches!(of.accu_init.expr, Ast::List(_)) => {
            Macro::Other("`map` and `filter` are not supported")
        }
        _ => Macro::Other("`exists_one` and macros of two variables are not supported"),
    }
}

impl Lowering<'_> {
    pub(super) fn comprehension(&mut self, node: &IdedExpr, of: &ComprehensionExpr) -> Option<Lowered> {
        let (all, body) = match recognize(of) {
            Macro::Exists(body) => (false, body),
            Macro::All(body) => (true, body),
            Macro::Other(message) => {
                let help = Some("use `exists` or `all`".to_owned());
                return self.error(self.parsed.span(&of.iter_range), message, help);
            }
        };
        let range = self.expr(&of.iter_range)?;
        match (range.ty, range.expr) {
            (_, Expr::Const(Const::List(items))) => self.written_out(all, &of.iter_var, &items, body),
            (Type::List(element), expr) => self.quantified(node, all, &of.iter_var, (expr, *element), body),
            (Type::Map, expr) => self.quantified(node, all, &of.iter_var, (expr, Type::Str), body),
            (Type::Dyn, expr) => self.quantified(node, all, &of.iter_var, (expr, Type::Dyn), body),
            (ty, _) => {
                let message =
                    format!("`exists` and `all` need a list or a map, this is {}", ty.with_article());
                self.error(self.parsed.span(&of.iter_range), message, None)
            }
        }
    }

    fn body(&mut self, name: &str, binding: Binding, body: &IdedExpr) -> Option<Expr> {
        self.variables.push((name.to_owned(), binding));
        let lowered = self.expr(body);
        self.variables.pop();
        let lowered = lowered?;
        if lowered.ty.fits(&Type::Bool) {
            return Some(lowered.expr);
        }
        let message = format!("a bool is needed here, this is {}", lowered.ty.with_article());
        self.error(self.parsed.span(body), message, None)
    }

    fn written_out(&mut self, all: bool, name: &str, items: &[Const], body: &IdedExpr) -> Option<Lowered> {
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            parts.push(self.body(name, Binding::Element(item.clone()), body)?);
        }
        Some(Lowered::bool(if all { Expr::all_of(parts) } else { Expr::any_of(parts) }))
    }

    fn quantified(
        &mut self,
        node: &IdedExpr,
        all: bool,
        name: &str,
        (range, element): (Expr, Type),
        body: &IdedExpr,
    ) -> Option<Lowered> {
        let variable = self.variables.iter().filter(|(_, b)| matches!(b, Binding::Slot(..))).count();
        if variable >= VARIABLES_MAX {
            let message = format!("`exists` and `all` are nested deeper than {VARIABLES_MAX} levels");
            return self.error(self.parsed.span(node), message, None);
        }
        let body = self.body(name, Binding::Slot(variable, element), body)?;
        if let (false, Expr::Fact(fact)) = (all, &range)
            && fact.ty() == crate::facts::FactType::StringList
            && let Some(narrow) = specialize::exists_in_list(*fact, variable, &body)
        {
            return Some(Lowered::bool(narrow));
        }
        Some(Lowered::bool(Expr::Quantified(Box::new(Quantified { all, range, variable, body }))))
    }
}
