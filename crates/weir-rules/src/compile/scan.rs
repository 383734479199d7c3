//! A look at the tokens before the parser sees them: it recurses without a limit of its own.

use cel::parser::pratt_parser::{Lexer, TokenKind};

use super::{Remark, SOURCE_BYTES_MAX};

/// How deep brackets may be nested.
const BRACKETS_MAX: usize = 24;

/// How many operators other than `&&` and `||` a condition may have.
const OPERATORS_MAX: usize = 64;

/// What forbids to parse a source, if anything does.
pub(super) fn refuse(source: &str) -> Option<Remark> {
    let remark = |start: usize, end: usize, message: String, help: &str| {
        Some(Remark { start, end, message, help: Some(help.to_owned()) })
    };
    if source.trim().is_empty() {
        return remark(0, 0, "the condition is empty".into(), "`true` matches everything");
    }
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the condition is longer than {SOURCE_BYTES_MAX} bytes");
        return remark(0, 0, message, "make several rules of it");
    }
    let mut lexer = Lexer::new(source);
    let (mut depth, mut operators) = (0_usize, 0_usize);
    // Each token is at least one byte, but for the end.
    for _ in 0..=source.len() {
        let token = lexer.lex();
        match token.kind {
            TokenKind::TokEnd => break,
            TokenKind::TokLeftParen | TokenKind::TokLeftBracket | TokenKind::TokLeftBrace => depth += 1,
            TokenKind::TokRightParen | TokenKind::TokRightBracket | TokenKind::TokRightBrace => {
                depth = depth.saturating_sub(1);
            }
            kind if is_operator(kind) => operators += 1,
            _ => {}
        }
        if depth > BRACKETS_MAX {
            let message = format!("brackets are nested deeper than {BRACKETS_MAX} levels");
            return remark(token.start, token.end, message, "make several rules of it");
        }
        if operators > OPERATORS_MAX {
            let message = format!("more than {OPERATORS_MAX} operators besides `&&` and `||`");
            return remark(token.start, token.end, message, "use `in [...]`, or make several rules of it");
        }
    }
    None
}

fn is_operator(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::TokMinus
            | TokenKind::TokPlus
            | TokenKind::TokAsterisk
            | TokenKind::TokSlash
            | TokenKind::TokPercent
            | TokenKind::TokQuestion
            | TokenKind::TokExclamation
            | TokenKind::TokEqualEqual
            | TokenKind::TokExclamationEqual
            | TokenKind::TokLess
            | TokenKind::TokLessEqual
            | TokenKind::TokGreater
            | TokenKind::TokGreaterEqual
            | TokenKind::TokIn
    )
}
