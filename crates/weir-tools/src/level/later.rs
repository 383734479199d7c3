//! Files that a machine runs or obeys by itself later on: whoever writes one starts a program, only not now.
//!
//! A `Makefile` or a program's source is run when somebody runs it, which is a call of its own; these are run by what looks
//! harmless: the next commit, the next shell, the next login.

use weir_core::tool::PermissionLevel;

use super::Roots;

/// Folders whose files run by themselves, as parts of a path.
const FOLDERS: &[(&[&str], PermissionLevel)] = &[
    // Hooks, and configuration that names programs.
    (&[".git"], PermissionLevel::Execute),
    (&[".husky"], PermissionLevel::Execute),
    (&[".githooks"], PermissionLevel::Execute),
    (&[".config", "git"], PermissionLevel::Execute),
    (&[".config", "fish"], PermissionLevel::Execute),
    (&[".config", "autostart"], PermissionLevel::Execute),
    (&[".config", "systemd"], PermissionLevel::Execute),
    (&["library", "launchagents"], PermissionLevel::Execute),
    (&["profile.d"], PermissionLevel::Execute),
    // The agents' own hooks and permissions, weir's among them.
    (&[".claude"], PermissionLevel::Execute),
    (&[".codex"], PermissionLevel::Execute),
    (&[".cursor"], PermissionLevel::Execute),
    (&[".gemini"], PermissionLevel::Execute),
    // Runners, and wrappers of the compiler, which an editor calls.
    (&[".cargo"], PermissionLevel::Execute),
    // Who may come in, as whom, and where to.
    (&[".ssh"], PermissionLevel::Dangerous),
    (&[".gnupg"], PermissionLevel::Dangerous),
    (&["cron.d"], PermissionLevel::Dangerous),
    (&["cron.hourly"], PermissionLevel::Dangerous),
    (&["cron.daily"], PermissionLevel::Dangerous),
    (&["cron.weekly"], PermissionLevel::Dangerous),
    (&["cron.monthly"], PermissionLevel::Dangerous),
    (&["spool", "cron"], PermissionLevel::Dangerous),
    (&["crontabs"], PermissionLevel::Dangerous),
    (&["sudoers.d"], PermissionLevel::Dangerous),
];

/// Folders in which some files run by themselves and others do not: what is moved into one under a name that does not show
/// may be such a file.
const PLACES: &[&str] = &[
    ".vscode",
    ".idea",
    ".zed",
    ".devcontainer",
    ".github",
    ".gitlab",
    ".circleci",
    ".config",
    ".local",
    ".vim",
    ".nvim",
    ".emacs.d",
    ".direnv",
    ".yarn",
    ".npm",
    ".m2",
    ".gradle",
    ".docker",
    ".kube",
    ".aws",
    ".continue",
    ".windsurf",
    "library",
    "launchagents",
    "autostart",
    "systemd",
    "spool",
    "cron",
    "site-packages",
];

/// Files of a name that run by themselves, wherever they lie.
const FILES: &[(&str, PermissionLevel)] = &[
    (".bashrc", PermissionLevel::Execute),
    (".bash_profile", PermissionLevel::Execute),
    (".bash_login", PermissionLevel::Execute),
    (".bash_logout", PermissionLevel::Execute),
    (".bash_aliases", PermissionLevel::Execute),
    (".profile", PermissionLevel::Execute),
    (".zshrc", PermissionLevel::Execute),
    (".zshenv", PermissionLevel::Execute),
    (".zprofile", PermissionLevel::Execute),
    (".zlogin", PermissionLevel::Execute),
    (".zlogout", PermissionLevel::Execute),
    (".kshrc", PermissionLevel::Execute),
    (".cshrc", PermissionLevel::Execute),
    (".tcshrc", PermissionLevel::Execute),
    (".login", PermissionLevel::Execute),
    (".inputrc", PermissionLevel::Execute),
    (".envrc", PermissionLevel::Execute),
    (".vimrc", PermissionLevel::Execute),
    (".exrc", PermissionLevel::Execute),
    (".xinitrc", PermissionLevel::Execute),
    (".xprofile", PermissionLevel::Execute),
    (".xsession", PermissionLevel::Execute),
    (".gitconfig", PermissionLevel::Execute),
    (".lesskey", PermissionLevel::Execute),
    (".npmrc", PermissionLevel::Execute),
    (".pre-commit-config.yaml", PermissionLevel::Execute),
    (".mcp.json", PermissionLevel::Execute),
    ("sitecustomize.py", PermissionLevel::Execute),
    ("usercustomize.py", PermissionLevel::Execute),
    ("authorized_keys", PermissionLevel::Dangerous),
    ("authorized_keys2", PermissionLevel::Dangerous),
    ("crontab", PermissionLevel::Dangerous),
    ("sudoers", PermissionLevel::Dangerous),
    (".netrc", PermissionLevel::Dangerous),
    ("ld.so.preload", PermissionLevel::Dangerous),
];

/// The least level of writing a file at this path. Names are compared without case, since some file systems do so.
pub(super) fn written(path: &str) -> PermissionLevel {
    let path = path.to_lowercase().replace('\\', "/");
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let folders = FOLDERS.iter().filter(|(folder, _)| parts.windows(folder.len()).any(|at| at == *folder));
    let last = parts.last().copied().unwrap_or_default();
    let files = FILES.iter().filter(|(name, _)| *name == last);
    let level = folders.map(|(_, level)| *level).chain(files.map(|(_, level)| *level)).max();
    // The tasks of an editor run when its folder is opened; what else lies there does not.
    let tasks = parts.ends_with(&[".vscode", "tasks.json"]) || parts.ends_with(&[".vscode", "settings.json"]);
    level.unwrap_or(PermissionLevel::None).max(if tasks {
        PermissionLevel::Execute
    } else {
        PermissionLevel::None
    })
}

/// The least level of moving, copying or linking something from or to this path. A link, and where `folders` are taken
/// one of those as well, hides what comes along.
pub(super) fn moved(path: &str, folders: bool, roots: &Roots) -> PermissionLevel {
    let is_place = |part: &str| {
        let part = part.to_lowercase();
        PLACES.contains(&part.as_str()) || written(&part) > PermissionLevel::None
    };
    let located = roots.locate(path);
    let named = path.split(['/', '\\']).any(is_place);
    let leads = located
        .as_deref()
        .and_then(|path| path.file_name())
        .is_some_and(|name| is_place(&name.to_string_lossy()));
    // A source by its name; the target of a move may be a folder, into which one file goes.
    let folder = folders && located.is_some_and(|path| path.is_dir());
    if named || leads || folder { PermissionLevel::Execute } else { PermissionLevel::None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PermissionLevel::{Dangerous, Execute, None as Nothing};

    #[test]
    fn what_runs_by_itself_is_more_than_a_file() {
        let table = [
            (".git/hooks/pre-commit", Execute),
            ("a/b/.git/config", Execute),
            ("./.GIT/Hooks/post-merge", Execute),
            (".git", Execute),
            ("sub/.husky/pre-push", Execute),
            ("/home/ada/.bashrc", Execute),
            ("~/.zshrc", Execute),
            (".config/fish/config.fish", Execute),
            (".claude/settings.json", Execute),
            (".vscode/tasks.json", Execute),
            (".envrc", Execute),
            ("~/.ssh/authorized_keys", Dangerous),
            ("~/.ssh/config", Dangerous),
            ("/var/spool/cron/root", Dangerous),
            ("/etc/cron.d/x", Dangerous),
            ("/etc/crontab", Dangerous),
            ("src/main.rs", Nothing),
            ("Makefile", Nothing),
            ("package.json", Nothing),
            (".gitignore", Nothing),
            ("git/hooks/pre-commit", Nothing),
            (".github/workflows/ci.yml", Nothing),
            (".vscode/launch.json", Nothing),
            ("", Nothing),
        ];
        for (path, level) in table {
            assert_eq!(written(path), level, "{path}");
        }
    }
}
