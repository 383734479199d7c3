//! A folder, the binary run in it, and what it said.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_weir"))
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Run {
    /// The exit code.
    pub code: i32,
    /// The result.
    pub stdout: String,
    /// Diagnostics.
    pub stderr: String,
}

impl Run {
    /// What a run came to.
    pub fn new(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it was not killed"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The result, of a run that must have gone well.
    #[track_caller]
    pub fn good(&self) -> &str {
        assert_eq!(self.code, 0, "{self:#?}");
        &self.stdout
    }

    /// The result as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    /// The result as lines of JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    }

    /// It ended so, with nothing on stdout, and said this on stderr.
    #[track_caller]
    pub fn failed(&self, code: i32, said: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:#?}");
        assert!(self.stderr.contains(said), "`{said}` is not in {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
    }
}

/// A temporary folder to run in.
pub struct Folder(TempDir);

impl Folder {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One with these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        for (path, text) in files {
            folder.write(path, text);
        }
        folder
    }

    /// One in which a store was made.
    pub fn with_store() -> Self {
        let folder = Self::new();
        folder.run(&["keys", "create", "--user", "maker"]).good();
        folder
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Writes a file in it.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let file = self.at(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// The binary with these arguments, to be run here.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null()).env_remove("COLUMNS");
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::new(self.command(arguments).output().unwrap())
    }

    /// Runs it to its end with this on stdin.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // It may end before it has read everything; what it said then is what the test looks at.
            let _ = stdin.write_all(&input);
        });
        let run = Run::new(child.wait_with_output().unwrap());
        writer.join().unwrap();
        run
    }
}

/// A rule that blocks one model, with its reason and the way out.
pub const NO_ECHO: &str = "\
rules:
  - id: no-echo
    on: request
    when: request.model == \"sim/echo\"
    then: block
    because: Echoes are for tests.
    instead: Ask sim/free.
    match:
      - {request: {model: sim/echo}}
    no_match:
      - {request: {model: sim/free}}
";

/// A rule file with two errors and a warning.
pub const BAD: &str = "\
rules:
  - id: typing-error
    on: request
    when: request.modell == \"sim/echo\"
    then: block
  - id: no-boolean
    on: request
    when: request.model
    then: log
  - id: old
    on: request
    when: request.free
    then: log
    expires: 2020-01-01T00:00:00Z
";
