//! Operators: types checked, then the narrowest form that says the same.

use cel::common::ast::{IdedExpr, operators};

use super::types::Type;
use super::{Lowered, Lowering, specialize};
use crate::expr::{ArithOp, CompareOp, Const, Expr};

impl Lowering<'_> {
    /// An operator, if the function's name is one.
    pub(super) fn operator(
        &mut self,
        node: &IdedExpr,
        name: &str,
        args: &[IdedExpr],
    ) -> Option<Option<Lowered>> {
        let arith = |op| move |this: &mut Self| this.arithmetic(node, op, args);
        let compare = |op| move |this: &mut Self| this.compare(node, op, args);
        Some(match name {
            operators::LOGICAL_AND => self.logical(args, Expr::all_of),
            operators::LOGICAL_OR => self.logical(args, Expr::any_of),
            operators::LOGICAL_NOT => self.not(args),
            operators::CONDITIONAL => self.conditional(node, args),
            operators::EQUALS => compare(CompareOp::Equal)(self),
            operators::NOT_EQUALS => compare(CompareOp::NotEqual)(self),
            operators::LESS => compare(CompareOp::Less)(self),
            operators::LESS_EQUALS => compare(CompareOp::AtMost)(self),
            operators::GREATER => compare(CompareOp::Greater)(self),
            operators::GREATER_EQUALS => compare(CompareOp::AtLeast)(self),
            operators::IN => self.membership(node, args),
            operators::ADD => arith(ArithOp::Add)(self),
            operators::SUBSTRACT => arith(ArithOp::Subtract)(self),
            operators::MULTIPLY => arith(ArithOp::Multiply)(self),
            operators::DIVIDE => arith(ArithOp::Divide)(self),
            operators::MODULO => arith(ArithOp::Remainder)(self),
            operators::NEGATE => self.negate(node, args),
            operators::INDEX => self.index(node, args),
            operators::OPT_INDEX | operators::OPT_SELECT => self.error(
                self.parsed.span(node),
                "optional values are not supported",
                Some("use has()".into()),
            ),
            _ => return None,
        })
    }

    /// A part that must be boolean. Both sides of an operator are looked at, so that all errors are found.
    fn condition(&mut self, node: &IdedExpr) -> Option<Expr> {
        let lowered = self.expr(node)?;
        if lowered.ty.fits(&Type::Bool) {
            return Some(lowered.expr);
        }
        let message = format!("a bool is needed here, this is {}", lowered.ty.with_article());
        self.error(self.parsed.span(node), message, None)
    }

    fn logical(&mut self, args: &[IdedExpr], join: fn(Vec<Expr>) -> Expr) -> Option<Lowered> {
        let parts: Vec<Option<Expr>> = args.iter().map(|arg| self.condition(arg)).collect();
        let parts: Option<Vec<Expr>> = parts.into_iter().collect();
        Some(Lowered::bool(join(parts?)))
    }

    fn not(&mut self, args: &[IdedExpr]) -> Option<Lowered> {
        let inner = self.condition(args.first()?)?;
        Some(Lowered::bool(inner.negated()))
    }

    fn both(&mut self, args: &[IdedExpr]) -> Option<(Lowered, Lowered)> {
        let [left, right] = args else { return None };
        let (left, right) = (self.expr(left), self.expr(right));
        Some((left?, right?))
    }

    fn conditional(&mut self, node: &IdedExpr, args: &[IdedExpr]) -> Option<Lowered> {
        let [test, yes, no] = args else { return None };
        let test = self.condition(test);
        let (yes, no) = (self.expr(yes), self.expr(no));
        let (test, yes, no) = (test?, yes?, no?);
        let ty = match (&yes.ty, &no.ty) {
            (a, b) if a == b => yes.ty.clone(),
            (Type::Dyn, _) | (_, Type::Dyn) => Type::Dyn,
            (a, b) => {
                let message = format!("both branches of `?:` have one type: {} and {}", a.name(), b.name());
                return self.error(self.parsed.span(node), message, None);
            }
        };
        if ty == Type::Map {
            return self.error(self.parsed.span(node), "`?:` cannot choose between maps", None);
        }
        Some(Lowered::new(Expr::If(Box::new((test, yes.expr, no.expr))), ty))
    }

    fn compare(&mut self, node: &IdedExpr, op: CompareOp, args: &[IdedExpr]) -> Option<Lowered> {
        let (left, right) = self.both(args)?;
        let equality = matches!(op, CompareOp::Equal | CompareOp::NotEqual);
        let fits =
            if equality { left.ty.comparable_with(&right.ty) } else { left.ty.ordered_with(&right.ty) };
        if !fits || left.ty == Type::Map || right.ty == Type::Map {
            let help = compare_help(&left, &right);
            let message = format!(
                "{} cannot be compared with {} by `{}`",
                left.ty.with_article(),
                right.ty.with_article(),
                op.as_str()
            );
            return self.error(self.parsed.span(node), message, help);
        }
        if equality {
            self.check_word(node, &left.expr, &right.expr);
            self.check_word(node, &right.expr, &left.expr);
        }
        let ints = left.ty == Type::Int && right.ty == Type::Int;
        Some(Lowered::bool(specialize::compare(op, left.expr, right.expr, ints)))
    }

    fn membership(&mut self, node: &IdedExpr, args: &[IdedExpr]) -> Option<Lowered> {
        let (wanted, of) = self.both(args)?;
        let fits = match &of.ty {
            Type::List(element) => element.comparable_with(&wanted.ty),
            Type::Map => wanted.ty.fits(&Type::Str),
            ty => *ty == Type::Dyn,
        };
        if !fits {
            let message = match &of.ty {
                Type::List(element) => {
                    format!("a list of {}s cannot hold {}", element.name(), wanted.ty.with_article())
                }
                Type::Map => format!("the names of a map are strings, this is {}", wanted.ty.with_article()),
                ty => format!("`in` needs a list or a map on its right, this is {}", ty.with_article()),
            };
            let help = (of.ty == Type::Str).then(|| "use `text.contains(part)`".to_owned());
            return self.error(self.parsed.span(node), message, help);
        }
        if let Expr::Const(Const::List(items)) = &of.expr {
            for item in items {
                self.check_word(node, &wanted.expr, &Expr::Const(item.clone()));
            }
        }
        Some(Lowered::bool(specialize::membership(wanted.expr, of.expr)))
    }

    /// Warns of a comparison with a word that the fact never is.
    fn check_word(&mut self, node: &IdedExpr, side: &Expr, other: &Expr) {
        let (Expr::Fact(fact), Expr::Const(Const::Str(word))) = (side, other) else { return };
        let words = fact.words();
        if words.is_empty() || word.is_empty() || words.contains(&&**word) {
            return;
        }
        let known = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let help = match crate::suggest::did_you_mean(word, words.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("it is one of {known}"),
        };
        self.warn(self.parsed.span(node), format!("`{}` is never \"{word}\"", fact.path()), Some(help));
    }

    fn arithmetic(&mut self, node: &IdedExpr, op: ArithOp, args: &[IdedExpr]) -> Option<Lowered> {
        let (left, right) = self.both(args)?;
        match arithmetic_type(op, &left.ty, &right.ty) {
            Some(ty) => Some(Lowered::new(Expr::Arith(op, Box::new((left.expr, right.expr))), ty)),
            None => {
                let message = format!(
                    "`{}` is not defined for {} and {}",
                    op.as_str(),
                    left.ty.with_article(),
                    right.ty.with_article()
                );
                let mixed = left.ty.is_number() && right.ty.is_number() && left.ty != right.ty;
                let help =
                    mixed.then(|| "write both as doubles, such as 2.0; only comparisons mix them".to_owned());
                self.error(self.parsed.span(node), message, help)
            }
        }
    }

    fn negate(&mut self, node: &IdedExpr, args: &[IdedExpr]) -> Option<Lowered> {
        let of = self.expr(args.first()?)?;
        match (of.ty, of.expr) {
            (Type::Int, Expr::Const(Const::Int(value))) if value != i64::MIN => {
                Some(Lowered::constant(Const::Int(-value)))
            }
            (Type::Double, Expr::Const(Const::Double(value))) => {
                Some(Lowered::constant(Const::Double(-value)))
            }
            (ty @ (Type::Int | Type::Double | Type::Duration | Type::Dyn), expr) => {
                Some(Lowered::new(Expr::Negate(Box::new(expr)), ty))
            }
            (ty, _) => {
                let message = format!("`-` is not defined for {}", ty.with_article());
                self.error(self.parsed.span(node), message, None)
            }
        }
    }

    fn index(&mut self, node: &IdedExpr, args: &[IdedExpr]) -> Option<Lowered> {
        let (of, at) = self.both(args)?;
        match (of.ty, of.expr) {
            (Type::Map, Expr::Fact(fact)) if at.ty.fits(&Type::Str) => {
                let expr = match at.expr {
                    Expr::Const(Const::Str(name)) => Expr::Header(fact, name.to_ascii_lowercase().into()),
                    computed => Expr::Lookup(fact, Box::new(computed)),
                };
                Some(Lowered::new(expr, Type::Str))
            }
            (Type::List(element), expr) if at.ty.fits(&Type::Int) => {
                Some(Lowered::new(Expr::Index(Box::new((expr, at.expr))), *element))
            }
            (Type::Dyn, expr) if matches!(at.ty, Type::Int | Type::Str | Type::Dyn) => {
                let expr = match at.expr {
                    Expr::Const(Const::Str(name)) => Expr::Member(Box::new(expr), name.as_ref().into()),
                    computed => Expr::Index(Box::new((expr, computed))),
                };
                Some(Lowered::new(expr, Type::Dyn))
            }
            (ty, _) => {
                let message = format!("{} has no element for {}", ty.with_article(), at.ty.with_article());
                self.error(self.parsed.span(node), message, None)
            }
        }
    }
}

fn compare_help(left: &Lowered, right: &Lowered) -> Option<String> {
    match (&left.ty, &right.ty) {
        (Type::Str, Type::Int | Type::Double | Type::Bool)
        | (Type::Int | Type::Double | Type::Bool, Type::Str) => {
            Some("a text is written in quotes, a number or a bool without".to_owned())
        }
        (Type::List(_), Type::Str) | (Type::Str, Type::List(_)) => {
            Some("use `\"a\" in list`, or `list.exists(item, ...)`".to_owned())
        }
        (Type::Duration, Type::Int) | (Type::Int, Type::Duration) => {
            Some("write a duration as duration(\"90s\")".to_owned())
        }
        (Type::Time, Type::Str) | (Type::Str, Type::Time) => {
            Some("write a time as timestamp(\"2026-11-20T10:00:00Z\")".to_owned())
        }
        (Type::Null, _) | (_, Type::Null) => {
            Some("facts are never null, but empty or zero when unknown".to_owned())
        }
        _ => None,
    }
}

fn arithmetic_type(op: ArithOp, left: &Type, right: &Type) -> Option<Type> {
    use ArithOp::{Add, Remainder, Subtract};
    Some(match (op, left, right) {
        (_, Type::Int, Type::Int) => Type::Int,
        (op, Type::Double, Type::Double) if op != Remainder => Type::Double,
        (Add, Type::Time, Type::Duration) | (Add, Type::Duration, Type::Time) => Type::Time,
        (Subtract, Type::Time, Type::Duration) => Type::Time,
        (Subtract, Type::Time, Type::Time) => Type::Duration,
        (Add | Subtract, Type::Duration, Type::Duration) => Type::Duration,
        (Add, Type::Str, Type::Str) => Type::Str,
        (_, Type::Dyn, other) | (_, other, Type::Dyn)
            if !matches!(other, Type::Bool | Type::Null | Type::Map) =>
        {
            Type::Dyn
        }
        _ => return None,
    })
}
