//! Functions.

use cel::common::ast::{CallExpr, Expr as Ast, IdedExpr, LiteralValue};
use ipnet::IpNet;

use super::types::Type;
use super::{Lowered, Lowering, names, specialize};
use crate::compile::pattern::{self, Meaning};
use crate::expr::time::{parse_duration, parse_zone};
use crate::expr::{Const, Expr, TextOp, TimePart};

/// All functions, for suggestions and for the reference.
pub(super) const FUNCTIONS: [&str; 23] = [
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "size",
    "has",
    "lowerAscii",
    "exists",
    "all",
    "timestamp",
    "duration",
    "cidr",
    "containsIP",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];

/// All functions, each with how it is called.
pub(crate) fn functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    FUNCTIONS.into_iter().map(|name| (name, usage(name).trim_matches('`')))
}

/// Functions of CEL that are not offered, with what to use instead.
fn not_offered(name: &str) -> Option<&'static str> {
    Some(match name {
        "map" | "filter" | "exists_one" | "existsOne" => "use `exists` or `all`",
        "int" | "uint" | "double" | "string" | "bool" | "bytes" | "type" | "dyn" => {
            "values are not converted: ints and doubles compare with each other"
        }
        "toLowerCase" | "lower" | "toLower" => "use `lowerAscii`",
        "ip" | "isIP" => "use cidr(\"10.0.0.0/8\").containsIP(request.ip)",
        "length" | "len" => "use `size`",
        "includes" => "use `contains`",
        "now" => "write `now`, without brackets",
        _ => return None,
    })
}

fn literal_str(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Ast::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

impl Lowering<'_> {
    pub(super) fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Lowered> {
        let name = call.func_name.as_str();
        if call.target.is_none()
            && let Some(lowered) = self.operator(node, name, &call.args)
        {
            return lowered;
        }
        match (name, call.target.as_deref(), call.args.as_slice()) {
            ("contains", Some(text), [other]) => self.find(TextOp::Contains, text, other),
            ("startsWith", Some(text), [other]) => self.find(TextOp::StartsWith, text, other),
            ("endsWith", Some(text), [other]) => self.find(TextOp::EndsWith, text, other),
            ("matches", Some(text), [pattern]) | ("matches", None, [text, pattern]) => {
                self.matches(text, pattern)
            }
            ("size", Some(of), []) | ("size", None, [of]) => self.size(of),
            ("lowerAscii", Some(of), []) => {
                let of = self.string(of)?;
                Some(Lowered::new(Expr::Lower(Box::new(of)), Type::Str))
            }
            ("timestamp", None, [of]) => self.timestamp(of),
            ("duration", None, [of]) => self.duration(of),
            ("containsIP", Some(network), [address]) => self.within(network, address),
            ("cidr", None, [_]) => {
                let help = Some("write cidr(\"10.0.0.0/8\").containsIP(request.ip)".to_owned());
                self.error(self.parsed.span(node), "a network is of use only with containsIP", help)
            }
            (_, Some(of), zone) if zone.len() < 2 && time_part(name).is_some() => {
                self.time_part(time_part(name)?, of, zone.first())
            }
            _ => self.unknown(node, call),
        }
    }

    fn unknown(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Lowered> {
        let name = call.func_name.as_str();
        let span = self.parsed.function_span(node, name);
        if FUNCTIONS.contains(&name) {
            let message = format!("`{name}` is not called like this");
            return self.error(span, message, Some(format!("write {}", usage(name))));
        }
        match not_offered(name) {
            Some(instead) => {
                self.error(span, format!("the function `{name}` is not supported"), Some(instead.into()))
            }
            None => {
                let (message, help) = names::unknown_function(name);
                self.error(span, message, help)
            }
        }
    }

    /// An argument that must be a string.
    fn string(&mut self, node: &IdedExpr) -> Option<Expr> {
        let lowered = self.expr(node)?;
        if lowered.ty.fits(&Type::Str) {
            return Some(lowered.expr);
        }
        let message = format!("a string is needed here, this is {}", lowered.ty.with_article());
        self.error(self.parsed.span(node), message, None)
    }

    fn find(&mut self, op: TextOp, text: &IdedExpr, other: &IdedExpr) -> Option<Lowered> {
        let (text, other) = (self.string(text), self.string(other));
        Some(Lowered::bool(specialize::find(op, text?, other?)))
    }

    fn matches(&mut self, text: &IdedExpr, pattern: &IdedExpr) -> Option<Lowered> {
        let text = self.string(text)?;
        let span = self.parsed.span(pattern);
        let Some(source) = literal_str(pattern) else {
            return self.error(span, "a regular expression must be a literal", None);
        };
        match pattern::compile(source, self.patterns) {
            Ok(Meaning::Plain(op, literal)) => {
                Some(Lowered::bool(specialize::find(op, text, Expr::Const(Const::Str(literal)))))
            }
            // Still evaluated where reading the text may fail.
            Ok(Meaning::Anything) => Some(Lowered::bool(specialize::find(
                TextOp::Contains,
                text,
                Expr::Const(Const::Str("".into())),
            ))),
            Ok(Meaning::Regex(pattern)) => Some(Lowered::bool(Expr::Matches(Box::new(text), pattern))),
            Err(reason) => self.error(span, format!("the regular expression is not valid: {reason}"), None),
        }
    }

    fn size(&mut self, of: &IdedExpr) -> Option<Lowered> {
        let lowered = self.expr(of)?;
        match lowered.ty {
            Type::Str | Type::List(_) | Type::Map | Type::Dyn => {
                Some(Lowered::new(Expr::Size(Box::new(lowered.expr)), Type::Int))
            }
            ty => {
                let message =
                    format!("`size` needs a string, a list or a map, this is {}", ty.with_article());
                self.error(self.parsed.span(of), message, None)
            }
        }
    }

    fn timestamp(&mut self, of: &IdedExpr) -> Option<Lowered> {
        if let Some(text) = literal_str(of) {
            return match text.parse() {
                Ok(time) => Some(Lowered::constant(Const::Time(time))),
                Err(_) => {
                    let help = Some("write it as 2026-11-20T10:00:00Z".to_owned());
                    self.error(self.parsed.span(of), format!("`{text}` is no time"), help)
                }
            };
        }
        let of = self.string(of)?;
        Some(Lowered::new(Expr::ToTime(Box::new(of)), Type::Time))
    }

    fn duration(&mut self, of: &IdedExpr) -> Option<Lowered> {
        if let Some(text) = literal_str(of) {
            return match parse_duration(text) {
                Some(duration) => Some(Lowered::constant(Const::Duration(duration))),
                None => {
                    let help = Some("write it as 1h30m, 90s or 250ms; a day is 24h".to_owned());
                    self.error(self.parsed.span(of), format!("`{text}` is no duration"), help)
                }
            };
        }
        let of = self.string(of)?;
        Some(Lowered::new(Expr::ToDuration(Box::new(of)), Type::Duration))
    }

    fn within(&mut self, network: &IdedExpr, address: &IdedExpr) -> Option<Lowered> {
        let address = self.string(address);
        let network = self.network(network);
        Some(Lowered::bool(Expr::Within(network?, Box::new(address?))))
    }

    fn network(&mut self, node: &IdedExpr) -> Option<IpNet> {
        let argument = match &node.expr {
            Ast::Call(call) if call.func_name == "cidr" && call.target.is_none() => {
                match call.args.as_slice() {
                    [argument] => Some(argument),
                    _ => None,
                }
            }
            _ => None,
        };
        let Some(argument) = argument else {
            let help = Some("write cidr(\"10.0.0.0/8\").containsIP(request.ip)".to_owned());
            return self.error(self.parsed.span(node), "containsIP needs a network", help);
        };
        let span = self.parsed.span(argument);
        let Some(text) = literal_str(argument) else {
            return self.error(span, "a network must be a literal", None);
        };
        match text.parse::<IpNet>() {
            Ok(network) => Some(network.trunc()),
            Err(_) => {
                let single = text.parse::<std::net::IpAddr>().ok().map(|address| {
                    format!("one address is written `{address}/{}`", if address.is_ipv4() { 32 } else { 128 })
                });
                let help = single.unwrap_or_else(|| "write it as 10.0.0.0/8 or 2001:db8::/32".to_owned());
                self.error(span, format!("`{text}` is no network"), Some(help))
            }
        }
    }

    fn time_part(&mut self, part: TimePart, of: &IdedExpr, zone: Option<&IdedExpr>) -> Option<Lowered> {
        let lowered = self.expr(of)?;
        let fits = match lowered.ty {
            Type::Time | Type::Dyn => true,
            Type::Duration => part.of_durations() && zone.is_none(),
            _ => false,
        };
        if !fits {
            let message = format!("`{}` is not defined for {}", part.function(), lowered.ty.with_article());
            return self.error(self.parsed.span(of), message, None);
        }
        let zone = match zone {
            None => None,
            Some(node) => Some(self.zone(node)?),
        };
        Some(Lowered::new(Expr::TimePart(part, Box::new((lowered.expr, zone))), Type::Int))
    }

    fn zone(&mut self, node: &IdedExpr) -> Option<jiff::tz::TimeZone> {
        let span = self.parsed.span(node);
        let Some(text) = literal_str(node) else {
            return self.error(span, "a time zone must be a literal", None);
        };
        match parse_zone(text) {
            Some(zone) => Some(zone),
            None => {
                let help =
                    Some("write a name such as \"Europe/Berlin\" or an offset such as \"+02:00\"".to_owned());
                self.error(span, format!("unknown time zone `{text}`"), help)
            }
        }
    }
}

fn time_part(name: &str) -> Option<TimePart> {
    TimePart::ALL.into_iter().find(|part| part.function() == name)
}

fn usage(name: &str) -> &'static str {
    match name {
        "contains" => "`text.contains(\"part\")`",
        "startsWith" => "`text.startsWith(\"begin\")`",
        "endsWith" => "`text.endsWith(\"end\")`",
        "matches" => "`text.matches(\"pattern\")`",
        "size" => "`size(text)`",
        "has" => "`has(call.args.name)`",
        "lowerAscii" => "`text.lowerAscii()`",
        "exists" => "`list.exists(item, item == \"a\")`",
        "all" => "`list.all(item, item != \"a\")`",
        "timestamp" => "`timestamp(\"2026-11-20T10:00:00Z\")`",
        "duration" => "`duration(\"90s\")`",
        "cidr" | "containsIP" => "`cidr(\"10.0.0.0/8\").containsIP(request.ip)`",
        _ => "`now.getHours()` or `now.getHours(\"Europe/Berlin\")`",
    }
}
