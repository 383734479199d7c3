//! Paths that are opened after something of the same text was moved or linked: where they lead was looked up before it, and
//! says nothing.

use tree_sitter::Node;

use super::programs::{self, places};
use super::{Walk, word_of};

/// What one part of a text does to paths, in the order of the text.
#[derive(Default)]
struct Found {
    /// The first that moves or links something.
    moves: Option<(usize, usize)>,
    /// All that open something by a path.
    follows: Vec<(usize, usize)>,
    /// Parts may run in another order than they stand, or at the same time.
    unordered: bool,
}

impl Walk<'_> {
    /// Whether a part opens a path that another part before it may have made lead elsewhere.
    pub(super) fn follows_what_moves(&self, root: Node<'_>) -> bool {
        let mut found = Found::default();
        let mut open = vec![root];
        while let Some(node) = open.pop() {
            self.look(node, &mut found);
            let mut cursor = node.walk();
            open.extend(node.children(&mut cursor));
        }
        let Some(mover) = found.moves else { return false };
        found.follows.iter().any(|other| *other != mover && (found.unordered || other.0 > mover.0))
    }

    fn look(&self, node: Node<'_>, found: &mut Found) {
        let at = (node.start_byte(), node.end_byte());
        let (moves, follows) = match node.kind() {
            "command" => {
                let words = self.words(node);
                (places::moves(&words), places::follows_paths(&words))
            }
            "file_redirect" => {
                let target = node.child_by_field_name("destination").map(|target| word_of(target, self.text));
                let harmless = target.as_ref().is_none_or(|target| {
                    target.text().is_some_and(|target| {
                        programs::is_harmless_device(target) || target.bytes().all(|b| b.is_ascii_digit())
                    })
                });
                // Words that the parser put here belong to a command, which they may make one that moves.
                (!self.strays(node).is_empty(), !harmless)
            }
            "test_command" => (false, true),
            "pipeline"
            | "command_substitution"
            | "process_substitution"
            | "while_statement"
            | "for_statement"
            | "c_style_for_statement"
            | "function_definition"
            | "&" => {
                found.unordered = true;
                return;
            }
            _ => return,
        };
        if moves && found.moves.is_none_or(|first| at.0 < first.0) {
            found.moves = Some(at);
        }
        if follows {
            found.follows.push(at);
        }
    }
}
