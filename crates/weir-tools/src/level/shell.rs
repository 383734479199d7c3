//! Shell commands, classed by what a shell would run (spec C4, `[LATER O2-SG]`).
//!
//! The text is parsed with the grammar of bash; every command in it counts, wherever it stands: in a pipeline, a
//! substitution, a function, a loop. The highest level wins. What cannot be read, and what only runs into its meaning at
//! run time (a program's name out of a variable, `eval`), is `dangerous`.

mod programs;
mod words;

use tree_sitter::{Node, Parser};
use weir_core::tool::PermissionLevel;

use super::Roots;
use programs::Invocation;
use words::{Word, word_of};

/// How long a command may be, in bytes; a longer one is `dangerous`.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;

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
    let words: Vec<Word> = argv.iter().map(|word| Some((*word).to_owned())).collect();
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
    let Some(tree) = parser.parse(command, None) else { return PermissionLevel::Dangerous };
    let root = tree.root_node();
    if root.has_error() {
        return PermissionLevel::Dangerous;
    }
    Walk { text: command, roots, depth }.level(root)
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

    /// What a node does by itself, without what stands within it.
    fn own_level(&self, node: Node<'_>) -> PermissionLevel {
        match node.kind() {
            "command" => self.command(node),
            "file_redirect" => self.redirect(node),
            "variable_assignment" => self.assignment(node),
            // Their bodies are walked.
            _ => PermissionLevel::ReadOnly,
        }
    }

    fn command(&self, node: Node<'_>) -> PermissionLevel {
        let mut cursor = node.walk();
        let mut words: Vec<Word> = Vec::new();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "variable_assignment"
                | "file_redirect"
                | "herestring_redirect"
                | "heredoc_redirect"
                | "subshell" => {}
                "command_name" => words.push(child.named_child(0).and_then(|name| word_of(name, self.text))),
                _ => words.push(word_of(child, self.text)),
            }
        }
        let fed = is_fed(node);
        Invocation { words: &words, roots: self.roots, fed, depth: self.depth }.level()
    }

    fn redirect(&self, node: Node<'_>) -> PermissionLevel {
        let mut cursor = node.walk();
        let operator = node.children(&mut cursor).find(|child| !child.is_named()).map(|child| child.kind());
        let writes = !matches!(operator, Some("<" | "<&" | "<&-"));
        let duplicates = matches!(operator, Some(">&" | "<&" | ">&-" | "<&-"));
        let Some(target) = node.child_by_field_name("destination") else {
            return PermissionLevel::ReadOnly;
        };
        match word_of(target, self.text) {
            Some(word) if duplicates && word.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
                PermissionLevel::ReadOnly
            }
            Some(word) if programs::is_harmless_device(&word) => PermissionLevel::ReadOnly,
            Some(word) if word.starts_with("/dev/") && writes => PermissionLevel::Dangerous,
            // bash opens sockets by these names.
            Some(word) if word.starts_with("/dev/tcp/") || word.starts_with("/dev/udp/") => {
                PermissionLevel::Dangerous
            }
            Some(word) if programs::leaves(&word, self.roots) => PermissionLevel::Dangerous,
            None if writes && !self.roots.is_empty() => PermissionLevel::Dangerous,
            Some(_) | None if writes => PermissionLevel::Write,
            Some(_) | None => PermissionLevel::ReadOnly,
        }
    }

    /// Variables that change what a program's name means, or what a program loads.
    fn assignment(&self, node: Node<'_>) -> PermissionLevel {
        let name =
            node.child_by_field_name("name").and_then(|name| name.utf8_text(self.text.as_bytes()).ok());
        match name {
            Some(name) if programs::is_loading_variable(name) => PermissionLevel::Dangerous,
            Some(_) => PermissionLevel::ReadOnly,
            None => PermissionLevel::Dangerous,
        }
    }
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
