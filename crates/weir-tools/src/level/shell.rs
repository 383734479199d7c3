//! Shell commands, classed by what a shell would run (spec C4, `[LATER O2-SG]`).
//!
//! The text is parsed with the grammar of bash; every command in it counts, wherever it stands: in a pipeline, a
//! substitution, a function, a loop. The highest level wins. What cannot be read, and what only runs into its meaning at
//! run time (a program's name out of a variable, `eval`), is `dangerous`.
//!
//! `read_only` and `write` are earned: by simple commands of plain parts (literal words, `$NAME`, redirects), of programs
//! and options that are known. All other parts of the language are `execute` at least, however harmless they look.

mod moved;
mod plain;
mod programs;
mod words;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Point, Tree};
use weir_core::tool::PermissionLevel;

use super::Roots;
use programs::Invocation;
use words::{Word, word_of};

/// How long a command may be, in bytes; a longer one is `dangerous`.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// How long the reading of a command may take; one that takes longer is `dangerous`.
const PARSE_MAX: Duration = Duration::from_secs(1);

/// Here-documents and here-strings of a command; the parser's time grows with their square. One with more is `dangerous`.
const HERE_DOCUMENTS_MAX: usize = 32;

/// Commands within commands (`sh -c`, `xargs`, `find -exec`) that are followed; deeper is `dangerous`.
const NESTED_MAX: usize = 8;

/// The level of a command as a shell would run it.
///
/// ```
/// use weir_core::tool::PermissionLevel;
/// use weir_tools::level::{Roots, classify_command};
///
/// let level = |command| classify_command(command, &Roots::default());
/// assert_eq!(level("git status | head -3"), PermissionLevel::ReadOnly);
/// assert_eq!(level("echo rm -rf /"), PermissionLevel::ReadOnly);
/// assert_eq!(level("ls; $(rm -rf /)"), PermissionLevel::Dangerous);
/// ```
#[must_use]
pub fn classify_command(command: &str, roots: &Roots) -> PermissionLevel {
    classify_nested(command, roots, 0)
}

/// The level of a program that is run with these arguments, without a shell.
#[must_use]
pub fn classify_argv(argv: &[&str], roots: &Roots) -> PermissionLevel {
    let words: Vec<Word> = argv.iter().map(|word| Word::Literal((*word).to_owned())).collect();
    Invocation { words: &words, roots, fed: false, depth: 0 }.level()
}

fn classify_nested(command: &str, roots: &Roots, depth: usize) -> PermissionLevel {
    if command.trim().is_empty() || command.len() > COMMAND_BYTES_MAX || depth > NESTED_MAX {
        return PermissionLevel::Dangerous;
    }
    let mut parser = Parser::new();
    if parser.set_language(&tree_sitter_bash::LANGUAGE.into()).is_err() {
        return PermissionLevel::Dangerous;
    }
    let Some(tree) = parse(&mut parser, command) else { return PermissionLevel::Dangerous };
    let root = tree.root_node();
    if root.has_error() {
        return PermissionLevel::Dangerous;
    }
    let plain = plain::is_plain(command) && plain::has_plain_here_document(command);
    let floor = if plain { PermissionLevel::ReadOnly } else { PermissionLevel::Execute };
    let walk = Walk { text: command, roots, depth };
    let level = floor.max(walk.level(root));
    if !roots.is_empty() && walk.follows_what_moves(root) {
        level.max(PermissionLevel::Execute)
    } else {
        level
    }
}

/// Parses a text, if that takes no longer than it may: what is hard to read takes a parser long.
fn parse(parser: &mut Parser, text: &str) -> Option<Tree> {
    if text.matches("<<").count() > HERE_DOCUMENTS_MAX {
        return None;
    }
    let begun = Instant::now();
    let mut goes_on = |_: &ParseState| {
        if begun.elapsed() > PARSE_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut read = |at: usize, _: Point| text.as_bytes().get(at..).unwrap_or_default();
    let options = ParseOptions::new().progress_callback(&mut goes_on);
    parser.parse_with_options(&mut read, None, Some(options))
}

struct Walk<'w> {
    text: &'w str,
    roots: &'w Roots,
    depth: usize,
}

impl Walk<'_> {
    /// The highest level of all nodes. The walk keeps its own stack, so that a deep tree cannot overflow the thread's.
    fn level(&self, root: Node<'_>) -> PermissionLevel {
        let mut highest = PermissionLevel::ReadOnly;
        let mut open = vec![root];
        while let Some(node) = open.pop() {
            highest = highest.max(self.own_level(node));
            if highest == PermissionLevel::Dangerous {
                return highest;
            }
            let mut cursor = node.walk();
            open.extend(node.named_children(&mut cursor));
        }
        highest
    }

    /// What a node does by itself, without what stands within it, which is walked. A kind that is not named here is no
    /// plain part.
    fn own_level(&self, node: Node<'_>) -> PermissionLevel {
        match node.kind() {
            "command" => self.command(node, Vec::new()),
            "redirected_statement" => self.redirected(node),
            "file_redirect" => self.redirect(node),
            "heredoc_redirect" => heredoc(node),
            "variable_assignment" => self.assignment(node),
            "test_command" => self.test(node),
            "program"
            | "list"
            | "pipeline"
            | "command_name"
            | "number"
            | "raw_string"
            | "string"
            | "string_content"
            | "simple_expansion"
            | "special_variable_name"
            | "file_descriptor"
            | "heredoc_start"
            | "heredoc_body"
            | "heredoc_content"
            | "heredoc_end"
            | "herestring_redirect"
            | "comment"
            | "command_substitution"
            | "process_substitution"
            | "subshell"
            | "compound_statement"
            | "negated_command"
            | "if_statement"
            | "elif_clause"
            | "else_clause"
            | "while_statement"
            | "do_group"
            | "brace_expression" => PermissionLevel::ReadOnly,
            // The environment holds keys: only what is known to be none is shown.
            "variable_name" if is_expanded(node) && !programs::is_harmless_variable(self.raw(node)) => {
                PermissionLevel::Execute
            }
            "variable_name" => PermissionLevel::ReadOnly,
            "word" | "concatenation" => programs::of_a_pattern(self.raw(node)),
            // Parts of a test, which is looked at as a whole.
            "unary_expression" | "binary_expression" | "test_operator" if within_test(node) => {
                PermissionLevel::ReadOnly
            }
            "expansion" if is_plain_expansion(self.raw(node)) => PermissionLevel::ReadOnly,
            _ => PermissionLevel::Execute,
        }
    }

    fn raw(&self, node: Node<'_>) -> &str {
        node.utf8_text(self.text.as_bytes()).unwrap_or_default()
    }

    /// A command, with words of it that the parser put elsewhere.
    fn command(&self, node: Node<'_>, more: Vec<Word>) -> PermissionLevel {
        let mut words = self.words(node);
        words.extend(more);
        Invocation { words: &words, roots: self.roots, fed: is_fed(node), depth: self.depth }.level()
    }

    fn words(&self, node: Node<'_>) -> Vec<Word> {
        let mut cursor = node.walk();
        let mut words: Vec<Word> = Vec::new();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "variable_assignment"
                | "file_redirect"
                | "herestring_redirect"
                | "heredoc_redirect"
                | "subshell" => {}
                "command_name" => {
                    words.push(child.named_child(0).map_or(Word::Value, |name| word_of(name, self.text)));
                }
                _ => words.push(word_of(child, self.text)),
            }
        }
        words
    }

    /// The parser takes words behind a redirect for more targets of it; they are words of the command.
    fn redirected(&self, node: Node<'_>) -> PermissionLevel {
        let mut cursor = node.walk();
        let mut strays = Vec::new();
        for redirect in node.named_children(&mut cursor).filter(|child| child.kind() == "file_redirect") {
            strays.extend(self.strays(redirect));
        }
        match node.child_by_field_name("body") {
            _ if strays.is_empty() => PermissionLevel::ReadOnly,
            Some(body) if body.kind() == "command" => self.command(body, strays),
            Some(_) | None => PermissionLevel::Dangerous,
        }
    }

    fn strays(&self, redirect: Node<'_>) -> Vec<Word> {
        let mut cursor = redirect.walk();
        let targets = redirect.children_by_field_name("destination", &mut cursor);
        targets.skip(1).map(|word| word_of(word, self.text)).collect()
    }

    fn redirect(&self, node: Node<'_>) -> PermissionLevel {
        if node.parent().is_none_or(|parent| parent.kind() != "redirected_statement")
            && !self.strays(node).is_empty()
        {
            return PermissionLevel::Dangerous;
        }
        let mut cursor = node.walk();
        let operator = node.children(&mut cursor).find(|child| !child.is_named()).map(|child| child.kind());
        let writes = !matches!(operator, Some("<" | "<&" | "<&-"));
        let duplicates = matches!(operator, Some(">&" | "<&" | ">&-" | "<&-"));
        let Some(target) = node.child_by_field_name("destination") else {
            return if duplicates { PermissionLevel::ReadOnly } else { PermissionLevel::Execute };
        };
        let by_process = target.kind() == "process_substitution";
        match word_of(target, self.text).text() {
            Some(word) if duplicates && word.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
                PermissionLevel::ReadOnly
            }
            Some(word) if programs::is_harmless_device(word) => PermissionLevel::ReadOnly,
            // bash opens sockets by names in there.
            Some(word) if word.starts_with("/dev/") => PermissionLevel::Dangerous,
            Some(word) if programs::leaves(word, self.roots) => PermissionLevel::Dangerous,
            Some(word) if writes => PermissionLevel::Write.max(super::of_written(word, self.roots)),
            Some(word) => programs::of_a_process(word),
            None if by_process && !writes => PermissionLevel::ReadOnly,
            // It can be any file, or a socket.
            None if self.roots.is_empty() => PermissionLevel::Execute,
            None => PermissionLevel::Dangerous,
        }
    }

    /// A variable may change what a program does, and which one is meant. A few with a plain value say only how things
    /// are shown.
    fn assignment(&self, node: Node<'_>) -> PermissionLevel {
        let name = node.child_by_field_name("name").map(|name| self.raw(name)).unwrap_or_default();
        let value = node.child_by_field_name("value").map(|value| word_of(value, self.text));
        let shown = node.parent().is_some_and(|parent| parent.kind() == "command")
            && self.raw(node).contains(&format!("{name}="))
            && value.as_ref().and_then(Word::text).is_some_and(|value| programs::only_shows(name, value));
        if shown {
            PermissionLevel::ReadOnly
        } else if name.is_empty() || programs::is_loading_variable(name) {
            PermissionLevel::Dangerous
        } else {
            PermissionLevel::Execute
        }
    }

    /// `[ -f a ]` of plain characters. `[[` is another language within the language, and `-v` evaluates what it is given.
    fn test(&self, node: Node<'_>) -> PermissionLevel {
        let inner = self.raw(node).strip_prefix("[ ").and_then(|raw| raw.strip_suffix(" ]"));
        let Some(inner) = inner else { return PermissionLevel::Execute };
        let simple =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '.' | '/' | '-' | '=' | '!');
        let words: Vec<Word> =
            inner.split(' ').filter(|w| !w.is_empty()).map(|w| Word::Literal(w.to_owned())).collect();
        if !inner.chars().all(simple) {
            return PermissionLevel::Execute;
        }
        let words: Vec<Word> = std::iter::once(Word::Literal("test".to_owned())).chain(words).collect();
        Invocation { words: &words, roots: self.roots, fed: false, depth: self.depth }.level()
    }
}

/// Words of the command that the parser put behind the mark of a here-document.
fn heredoc(node: Node<'_>) -> PermissionLevel {
    let mut cursor = node.walk();
    let stray = |kind: &str| {
        matches!(
            kind,
            "word" | "number" | "raw_string" | "string" | "concatenation" | "simple_expansion" | "expansion"
        )
    };
    if node.named_children(&mut cursor).any(|child| stray(child.kind())) {
        PermissionLevel::Dangerous
    } else {
        PermissionLevel::ReadOnly
    }
}

/// Whether the value of this name is put in its place.
fn is_expanded(node: Node<'_>) -> bool {
    node.parent().is_some_and(|parent| matches!(parent.kind(), "simple_expansion" | "expansion"))
}

fn within_test(node: Node<'_>) -> bool {
    std::iter::successors(node.parent(), Node::parent).any(|parent| parent.kind() == "test_command")
}

/// `${NAME}`.
fn is_plain_expansion(raw: &str) -> bool {
    raw.strip_prefix("${")
        .and_then(|raw| raw.strip_suffix('}'))
        .is_some_and(|name| plain::is_name(name.as_bytes()))
}

/// Whether a command reads what others write: it stands behind a pipe, or has a here-document or an input redirect.
fn is_fed(node: Node<'_>) -> bool {
    let mut at = node;
    while let Some(parent) = at.parent() {
        match parent.kind() {
            "pipeline" if parent.named_child(0).is_some_and(|first| first.id() != at.id()) => return true,
            "redirected_statement" => return true,
            "program" | "command_substitution" | "process_substitution" => return false,
            _ => at = parent,
        }
    }
    false
}
