//! What the pages under docs/ show is done as they show it.
//!
//! Of a page, in order: a `console` block is commands (`$ …`) and what they print; a command is
//! repeated until it goes well and prints that, because a running weir follows a change within a second. `…` stands for anything, on a line of its own
//! for any lines. `$ weir serve` and `$ make run` start the page's weir. An `sh` block is commands that go well. A
//! `yaml` block is a configuration or rules, and good ones; if it begins with a comment that names a file it is
//! written there. All else is only shown.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use weir_testkit::{RedisServer, WeirCommand, WeirProcess};

use crate::support::{Folder, binary};

/// How long a command may take to print what is shown.
const DEADLINE: Duration = weir_testkit::deadline::PATIENCE;

/// Where pages have weir listen.
const SHOWN: [&str; 2] = ["127.0.0.1:8080", "127.0.0.1:8081"];

/// Where pages have Redis listen.
const SHOWN_REDIS: &str = "127.0.0.1:6379";

macro_rules! pages {
    ($($test:ident: $page:literal),+ $(,)?) => {
        const RUN: &[&str] = &[$($page),+];
        $(
            #[tokio::test]
            async fn $test() {
                run($page).await;
            }
        )+
    };
}

pages! {
    the_tutorial_on_requests: "tutorial-requests.md",
    the_tutorial_on_failures: "tutorial-failures.md",
    the_tutorial_on_tools: "tutorial-tools.md",
    the_page_on_failures: "failures.md",
    moving_from_litellm: "from-litellm.md",
    moving_from_redis: "from-redis.md",
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// A fenced block: its language, its line in the page, its text.
struct Block {
    language: String,
    line: usize,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(docs().join(page)).unwrap_or_else(|e| panic!("docs/{page}: {e}"));
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, content) in (1..).zip(text.lines()) {
        match (content.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block { language: language.to_owned(), line, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(content);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "docs/{page}: a block does not end");
    blocks
}

fn is_run(block: &Block) -> bool {
    matches!(block.language.as_str(), "console" | "sh")
}

#[test]
fn every_page_with_commands_is_run() {
    for entry in std::fs::read_dir(docs()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") && blocks(&name).iter().any(is_run) {
            assert!(RUN.contains(&name.as_str()), "docs/{name} has commands; add it to `pages!`");
        }
    }
}

#[test]
fn what_a_page_shows_as_json_or_yaml_is_some() {
    for entry in std::fs::read_dir(docs()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".md") {
            continue;
        }
        for block in blocks(&name) {
            let at = format!("docs/{name}:{}", block.line);
            match block.language.as_str() {
                "yaml" => check_yaml(&at, &block.text),
                "json" => drop(serde_json::from_str::<serde_json::Value>(&block.text).expect(&at)),
                _ => {}
            }
        }
    }
}

/// Rules, or a configuration, without an error.
fn check_yaml(at: &str, text: &str) {
    let body = text.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    let is_rules = body == "rules:";
    let folder = Folder::with(&[("shown.yaml", text), ("rules/none.yaml", "rules: []\n")]);
    for root in ["work", "notes"] {
        std::fs::create_dir(folder.at(root)).unwrap();
    }
    let arguments: &[&str] =
        if is_rules { &["check", "shown.yaml"] } else { &["check", "--config", "shown.yaml"] };
    let output = folder.command(arguments).env("OPENAI_API_KEY", "sk-shown").output().unwrap();
    assert!(output.status.success(), "{at}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A shell that lives as long as its page, so that what one block sets another has.
struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start(folder: &Folder) -> Self {
        let path = std::env::join_paths(
            std::iter::once(binary().parent().unwrap().to_owned())
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let mut child = Command::new("bash")
            .current_dir(folder.path())
            .env("PATH", path.unwrap())
            .env_remove("COLUMNS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// Runs commands; gives the exit code and what they printed, on both ways.
    fn run(&mut self, commands: &str) -> (i32, String) {
        const END: &str = "-- end of the commands: ";
        let input = self.input.as_mut().unwrap();
        // In this very shell, so that variables stay; without its input, which is the rest of the page.
        writeln!(input, "{{ {commands}\n}} 2>&1 </dev/null; printf '\\n{END}%d\\n' $?").unwrap();
        input.flush().unwrap();
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.output.read_line(&mut line).unwrap(),
                0,
                "the shell ended in\n{commands}\n{printed}"
            );
            if let Some(code) = line.strip_prefix(END) {
                return (code.trim().parse().unwrap(), printed.trim_end().to_owned());
            }
            printed.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// A page being run.
struct Page {
    name: &'static str,
    folder: Folder,
    shell: Shell,
    weir: Option<WeirProcess>,
    /// Of a page that shows one.
    redis: Option<RedisServer>,
}

async fn run(name: &'static str) {
    let folder = Folder::new();
    let shell = Shell::start(&folder);
    let shows_redis = blocks(name).iter().any(|block| block.text.contains(SHOWN_REDIS));
    let redis = shows_redis.then(RedisServer::start);
    let mut page = Page { name, folder, shell, weir: None, redis };
    for block in blocks(name) {
        let at = format!("docs/{}:{}", page.name, block.line);
        match block.language.as_str() {
            "sh" => page.good(&at, &block.text),
            "console" => {
                for (command, printed) in commands(&block.text) {
                    if matches!(command.as_str(), "weir serve" | "make run") {
                        page.serve().await;
                    } else {
                        page.prints(&at, &command, &printed);
                    }
                }
            }
            "yaml" => page.write(&block.text),
            _ => {}
        }
    }
}

/// The commands of a block, each with what it prints.
fn commands(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), String::new()));
        } else {
            let (_, printed) = commands.last_mut().unwrap_or_else(|| panic!("no command before `{line}`"));
            printed.push_str(line);
            printed.push('\n');
        }
    }
    commands
}

impl Page {
    /// Starts the page's weir with the configuration that the page has written, on ports of its own.
    async fn serve(&mut self) {
        drop(self.weir.take());
        let config = std::fs::read_to_string(self.folder.at("weir.yaml")).unwrap_or_default();
        self.weir = Some(WeirCommand::new(binary(), &config).folder(self.folder.path()).start().await);
    }

    /// Where the page's weir listens.
    fn planes(&self) -> Option<[String; 2]> {
        let weir = self.weir.as_ref()?;
        Some([weir.data(), weir.admin()].map(|url| url.trim_start_matches("http://").to_owned()))
    }

    fn write(&self, text: &str) {
        let Some(name) = text.lines().next().and_then(|line| line.strip_prefix("# ")) else { return };
        let name = name.split([':', ' ']).next().unwrap_or_default();
        if Path::new(name).extension().is_none_or(|extension| extension != "yaml") {
            return;
        }
        let listen = self
            .planes()
            .filter(|_| name == "weir.yaml")
            .map(|[data, admin]| format!("listen: {{data: \"{data}\", admin: \"{admin}\"}}\n"));
        self.folder.write(name, format!("{}{}", self.on_redis(text), listen.unwrap_or_default()));
    }

    /// With the page's own Redis in the place of the one that is shown.
    fn on_redis(&self, text: &str) -> String {
        let Some(redis) = &self.redis else { return text.to_owned() };
        text.replace(SHOWN_REDIS, &format!("127.0.0.1:{}", redis.port()))
    }

    /// Commands as they are to be run, and what they print as it is shown.
    fn meant(&self, text: &str) -> String {
        let planes = self.planes();
        SHOWN
            .iter()
            .zip(planes.iter().flatten())
            .fold(self.on_redis(text), |text, (shown, real)| text.replace(shown, real))
    }

    fn good(&mut self, at: &str, commands: &str) {
        let (code, printed) = self.shell.run(&self.meant(commands));
        assert_eq!(code, 0, "{at}:\n{commands}\n{printed}");
    }

    fn prints(&mut self, at: &str, command: &str, shown: &str) {
        let command = self.meant(command);
        let shown = self.meant(shown);
        let end = Instant::now() + DEADLINE;
        loop {
            let (code, printed) = self.shell.run(&command);
            if code == 0 && matches(&shown, &printed) {
                return;
            }
            assert!(
                Instant::now() < end,
                "{at}: $ {command}\nshows\n{shown}\nbut ends with {code} and prints\n{printed}"
            );
        }
    }
}

/// Whether a text is what is shown, where `…` stands for anything.
fn matches(shown: &str, printed: &str) -> bool {
    let shown: Vec<&str> = shown.trim().lines().collect();
    let printed: Vec<&str> = printed.trim().lines().collect();
    lines_match(&shown, &printed)
}

fn lines_match(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"…", rest)) => (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..])),
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, more)| line_matches(line, first) && lines_match(rest, more)),
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    let mut parts = shown.trim_end().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.trim_end().strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn an_ellipsis_stands_for_anything_and_nothing_else_does() {
    for (shown, printed, same) in [
        ("a\nb", "a\nb\n", true),
        ("a\n…\nd", "a\nb\nc\nd", true),
        ("a\n…\nd", "a\nd", true),
        ("a\n…", "a\nb\nc", true),
        ("a … c", "a b c", true),
        ("a … c", "a b c d", false),
        ("id: dec_…", "id: dec_01", true),
        ("id: dec_…", "id: 01", false),
        ("a", "a\nb", false),
        ("", "a", false),
        ("…", "", true),
    ] {
        assert_eq!(matches(shown, printed), same, "{shown:?} of {printed:?}");
    }
}
