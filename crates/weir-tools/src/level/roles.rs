//! What the arguments of a tool are, by the tool's name: there is no standard that says so.

/// What the arguments of a tool are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The tool runs a shell command, which is in one of these arguments.
    pub command: Option<&'static [&'static str]>,
    /// The tool works on files, which its arguments name.
    pub paths: bool,
    /// Its `pattern` is one of paths, not of text.
    pub globs: bool,
    /// It applies a patch, whose headers name files.
    pub patches: bool,
    /// Its name says that it looks at files, and not that it changes any.
    pub only_looks: bool,
    /// It tells of the names in a folder, and not what the files hold.
    pub lists: bool,
    /// It moves, copies or links what its arguments name.
    pub moves: bool,
    /// It looks for something in all files of a folder.
    pub searches: bool,
}

/// Words of tools that look.
const LOOKS: [&str; 20] = [
    "read", "view", "list", "ls", "get", "stat", "info", "tree", "glob", "grep", "search", "find", "show",
    "open", "cat", "head", "tail", "diff", "exists", "count",
];

/// Words of tools that change something, whatever else their name says.
const CHANGES: [&str; 20] = [
    "write", "edit", "create", "patch", "move", "rename", "copy", "save", "put", "append", "replace",
    "update", "delete", "remove", "set", "insert", "upload", "make", "apply", "download",
];

/// Words of tools that move, copy or link.
const MOVES: [&str; 6] = ["move", "rename", "copy", "link", "symlink", "hardlink"];

/// Words of tools that tell of names only.
const LISTS: [&str; 9] = ["list", "ls", "tree", "glob", "stat", "info", "exists", "find", "count"];

/// Tools that run what they are told. Names are compared without case and `_`, `-`, `.`.
const SHELLS: [&str; 19] = [
    "bash",
    "sh",
    "zsh",
    "shell",
    "localshell",
    "shellcommand",
    "containerexec",
    "exec",
    "execcommand",
    "execute",
    "executecommand",
    "runcommand",
    "runshell",
    "runshellcommand",
    "runterminalcmd",
    "runinterminal",
    "terminal",
    "command",
    "powershell",
];

/// Where such tools take it from.
const COMMANDS: [&str; 5] = ["command", "cmd", "commands", "commandline", "input"];

/// Words in the names of tools that work on files.
const FILE_WORDS: [&str; 15] = [
    "file",
    "files",
    "dir",
    "directory",
    "directories",
    "folder",
    "folders",
    "path",
    "paths",
    "tree",
    "glob",
    "grep",
    "patch",
    "notebook",
    "image",
];

/// Tools of known agents that work on files without such a word in their name.
const FILE_TOOLS: [&str; 7] = ["read", "write", "edit", "multiedit", "ls", "view", "str_replace_editor"];

/// Arguments that name files.
const PATH_ARGUMENTS: [&str; 26] = [
    "path",
    "paths",
    "file",
    "files",
    "filepath",
    "filepaths",
    "filename",
    "filenames",
    "dir",
    "directory",
    "folder",
    "source",
    "destination",
    "src",
    "dst",
    "dest",
    "from",
    "to",
    "target",
    "root",
    "cwd",
    "workdir",
    "notebookpath",
    "edits",
    "glob",
    "globs",
];

impl Roles {
    /// What the arguments of a tool of this name are.
    #[must_use]
    pub fn of(tool: &str) -> Self {
        let flat = flat(tool);
        let words = words(tool);
        let command = SHELLS.contains(&flat.as_str()).then_some(COMMANDS.as_slice());
        let paths = FILE_TOOLS.contains(&tool.to_lowercase().as_str())
            || words.iter().any(|word| FILE_WORDS.contains(&word.as_str()));
        let has = |wanted: &str| words.iter().any(|word| word == wanted);
        let any = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
        let only_looks = any(&LOOKS) && !any(&CHANGES);
        Self {
            command,
            paths,
            globs: has("glob") || flat == "searchfiles",
            patches: has("patch"),
            only_looks,
            // weir's own search passes its own files over; others of this name look for names.
            lists: only_looks && (any(&LISTS) || flat == "searchfiles") && !has("grep"),
            moves: any(&MOVES),
            searches: has("grep") || has("search") && flat != "searchfiles",
        }
    }
}

/// Whether an argument of a tool for files names files.
pub(super) fn is_path_argument(name: &str) -> bool {
    PATH_ARGUMENTS.contains(&flat(name).as_str())
}

fn flat(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The words of a name: `readTextFile`, `read_text_file` and `read-text-file` have the same three.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        lower_before = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_told_apart_by_the_words_of_their_names() {
        let table = [
            ("Bash", true, false),
            ("run_command", true, false),
            ("local-shell", true, false),
            ("read_text_file", false, true),
            ("listDirectory", false, true),
            ("Read", false, true),
            ("profile", false, false),
            ("run_script", false, false),
            ("send_mail", false, false),
        ];
        for (tool, command, paths) in table {
            let roles = Roles::of(tool);
            assert_eq!((roles.command.is_some(), roles.paths), (command, paths), "{tool}");
        }
    }
}
