//! What attacks on the levels of shell commands found, and what is close to it.

use std::path::Path;

use serde_json::json;
use weir_core::tool::Arguments;
use weir_core::tool::PermissionLevel::{self, Dangerous, Execute, None as Nothing, ReadOnly, Write};
use weir_tools::level::{Roots, classify_argv, classify_command, of_call};

/// Commands of which a shell makes more than they show.
const ACTING: &[(&str, &[&str])] = &[
    (
        "backticks in odd places",
        &[
            "echo ${x:-`rm -rf ~`}",
            "cat <<E\n`rm -rf ~`\nE",
            "x=${y:-`rm x`}",
            "echo ${x#`rm x`}",
            "echo \"${x:-`rm -rf /`}\"",
            "echo `echo \\`rm x\\``",
            "cat <<-E\n\t`touch a`\n\tE",
            "[[ `rm x` ]]",
            "cat <<< `make`",
            "cat < `make`",
        ],
    ),
    (
        "parts that shells read differently",
        &[
            "echo $'\\'; touch PWN #'",
            "((env))",
            "((reboot))",
            "[[ a > PWN4 ]]",
            "[[ -z PATH || evil ]]",
            "cat << E\na\nE \ntouch PWN\nE",
            "cat <<E\"F\"\n$(touch PWN)\nEF",
            "echo $[x]",
        ],
    ),
    (
        "wrappers that take words from elsewhere",
        &[
            "echo touch PWN | xargs env",
            "echo touch PWN | xargs nice",
            "echo touch PWN | xargs timeout 5",
            "echo touch PWN | xargs time",
            "echo touch PWN | xargs command",
            "echo touch PWN | xargs env FOO=1",
            "echo 'f -delete' | xargs find",
            "printf -- '--output=PWN' | xargs git diff",
            "echo '-oPWN f' | xargs sort",
            "echo touch | xargs -Iecho echo PWN",
            "sh -c '\"$@\"' x touch PWN",
            "bash -x -c ls",
            "bash -ic ls",
        ],
    ),
    (
        "options",
        &[
            "git grep -O'touch PWN #' foo",
            "git grep --open-files=x foo",
            "X='touch PWN #' git --config-env=diff.external=X diff",
            "git --config-env=diff.external=X diff",
            "git --git-dir=/evil status",
            "git shortlog --output=PWN",
            "git rev-list --output=PWN HEAD",
            "git log --outp=PWN",
            "git log -p --ext-dif",
            "git cat-file --textconv HEAD:f",
            "git diff -oPWN",
            "git diff $x",
            "/usr/bin/time -o PWN ls",
            "env --split='touch PWN'",
            "env -C /tmp ls",
            "tree -oPWN",
            "tree --output PWN",
            "file --compile",
            "file -C",
            "find -files0-from x",
            "find . -name $x",
            "find . 2>/dev/null -delete",
            "sort -S 1k --com=/evil big",
            "sort -ro PWN x",
            "sort $x",
            "sort *",
            "tar xf x --to-comm=evil",
            "date --se=x",
            "date 010100002020",
            "less +'!touch PWN' f",
            "zip -TT evil x f",
            "sed e./evil f",
            "sed 'w.x' f",
            "sed -f script.sed f",
            "git remote update",
            "git tag -s x",
            "git commit --template=x",
        ],
    ),
    (
        "variables",
        &[
            "XDG_CONFIG_HOME=/dir git status",
            "read PATH < p.txt; ls",
            "read PATH <<< /evil; ls",
            "for PATH in /evil; do ls; done",
            "declare -n r=PATH; r=/evil; ls",
            "BASH_CMDS[ls]=/evil/ls; ls",
            "PATH[0]=/evil; ls",
            "PATH+=:/tmp; ls",
            "printf -v PATH /evil; ls",
            "printf '%n' PATH; ls",
            "printf \"$f\" PATH; ls",
            "getopts a PATH; ls",
            "unset PATH; ls",
            "local PATH=/evil; ls",
            "export PATH=/evil; ls",
            "select PATH in /evil; do ls; done",
            "LESSOPEN='|touch PWN; cat %s' less f",
            "LC_ALL=/evil/x ls",
            "env FOO=1 ls",
            "ls() { make; }; ls",
            "echo ${PATH:=/tmp}; ls",
            "hash -p /evil ls; ls",
        ],
    ),
    (
        "data that is evaluated",
        &[
            "test -v 'a[$(touch PWN)]'",
            "[ -v 'a[$(touch PWN)]' ]",
            "test $x 'a[$(touch PWN)]'",
            "[[ 'a[$(touch PWN)]' -eq 1 ]]",
            "[[ -v 'a[$(touch PWN)]' ]]",
            "x='a[$(touch PWN)]'; echo $((x))",
            "x='a[$(touch PWN)]'; ((x))",
            "x='a[$(touch PWN)]'; echo ${y:x}",
            "echo ${!x}",
            "printf -v 'a[$(touch PWN)]' foo",
            "read 'a[$(touch PWN)]' <<< 1",
            "let 'a[$(touch PWN)]=1'",
            "declare -i x='a[$(touch PWN)]'",
            "x='$(touch PWN)'; echo ${x@P}",
            "unset 'a[$(touch PWN)]'",
            "wait -n -p 'a[$(touch PWN)]'",
            "getopts a 'b[$(touch PWN)]'",
            "p=/dev/tcp/h/80; cat < $p",
            "cat < $'/dev/tcp/evil/80'",
        ],
    ),
];

fn level(command: &str) -> PermissionLevel {
    classify_command(command, &Roots::default())
}

#[test]
fn what_a_shell_may_make_more_of_is_execute_at_least() {
    let all = ACTING.iter().flat_map(|(_, commands)| commands.iter().copied());
    let below: Vec<&str> = all.filter(|command| level(command) < Execute).collect();
    assert!(below.is_empty(), "{below:#?}");
}

#[test]
fn modes_that_give_the_owners_rights_are_dangerous() {
    let table = [
        ("chmod u+s f", Dangerous),
        ("chmod 4755 f", Dangerous),
        ("chmod 02755 f", Dangerous),
        ("chmod a=rx,g+s f", Dangerous),
        ("chmod $m f", Dangerous),
        ("install -m 4755 a b", Dangerous),
        ("install -m4755 a b", Dangerous),
        ("install --mode=u+s a b", Dangerous),
        ("chmod 755 f", Write),
        ("chmod u+x f", Write),
        ("install -m 755 a b", Write),
    ];
    for (command, expected) in table {
        assert_eq!(level(command), expected, "{command}");
    }
}

#[test]
fn everyday_commands_keep_their_levels() {
    let table: &[(PermissionLevel, &[&str])] = &[
        (
            ReadOnly,
            &[
                "ls -la src",
                "cat a.txt | grep -n foo | head -20",
                "git status",
                "git status --short",
                "git diff --stat",
                "git diff HEAD~1 -- src/a.rs",
                "git log --oneline -5",
                "git log -n 5 --format='%h %s'",
                "git show HEAD:src/a.rs",
                "git branch -a",
                "git --no-pager log -3 | cat",
                "find . -name '*.rs'",
                "find src -type f -mtime -1 -not -path './target/*'",
                "find . -name '*.rs' -exec grep -n foo {} +",
                "wc -l *.rs",
                "grep -rn 'a`b' src",
                "echo \"$HOME\" ${USER}",
                "echo $(pwd)",
                "grep foo a.txt 2>/dev/null | cut -d: -f1",
                "cd src && ls",
                "timeout 5 tree -L 2",
                "cat <<'EOF'\nplain $text\nEOF",
                "diff -u a b",
                "sort -k1,1 -t, a.txt",
                "ls | sort | uniq -c | head",
                "printf '%s\\n' a b",
            ],
        ),
        (
            Write,
            &[
                "mkdir -p x",
                "cp a b",
                "echo hi > f",
                "uniq a b",
                "tar czf a.tgz src",
                "git add -A && git status",
            ],
        ),
        (
            Execute,
            &[
                "rg foo src",
                "cargo test",
                "bash -lc 'cargo test'",
                "tar xzf a.tgz",
                "git add -A && git commit -m 'x'",
            ],
        ),
    ];
    for (expected, commands) in table {
        for command in *commands {
            assert_eq!(level(command), *expected, "{command}");
        }
    }
}

/// A root with links that lead out of it.
fn root(folder: &Path) -> Roots {
    let root = folder.join("root");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    std::fs::write(folder.join("secret"), "s").unwrap();
    std::fs::write(root.join("a.txt"), "a").unwrap();
    std::os::unix::fs::symlink(folder.join("secret"), root.join("alink")).unwrap();
    Roots::new(&[root])
}

#[test]
fn a_path_that_cannot_be_known_leaves_the_roots() {
    let folder = tempfile::tempdir().unwrap();
    let roots = root(folder.path());
    let out = [
        "cat /et*/passwd",
        "cat {/etc/passwd,x}",
        "cat *",
        "cat $p/passwd",
        "cat $HOME/.ssh/id_rsa",
        "cat \"${HOME}/.ssh/id_rsa\"",
        "cat $(echo /etc/passwd)",
        "grep -f/etc/passwd x",
        "grep --file=/etc/passwd x",
        "grep -falink x",
        "cat < $p",
        "cat alink",
        "cat < alink",
        "echo x > alink",
        "cp alink b",
        "echo /etc/*",
        "ls ~root",
        "cat ~+/../x",
        "git diff --no-index /dev/null /etc/passwd",
        "head -c10 /etc/passwd",
    ];
    let stay: Vec<&str> =
        out.into_iter().filter(|command| classify_command(command, &roots) < Dangerous).collect();
    assert!(stay.is_empty(), "{stay:#?}");
    let elsewhere = [
        "cd sub && cat alink",
        "git -C sub status",
        "cat $'/etc/passwd'",
        "env -C /etc cat passwd",
        "echo a | xargs cat",
    ];
    for command in elsewhere {
        assert!(classify_command(command, &roots) >= Execute, "{command}");
    }
    let inside = [
        ("cat a.txt | grep -n foo | head -20", ReadOnly),
        ("ls -la sub", ReadOnly),
        ("find . -name '*.rs'", ReadOnly),
        ("git log --oneline -5", ReadOnly),
        ("echo \"$HOME\"", ReadOnly),
        ("grep -rn foo sub", ReadOnly),
        ("cp a.txt sub/b.txt", Write),
        ("echo hi > sub/f", Write),
    ];
    for (command, expected) in inside {
        assert_eq!(classify_command(command, &roots), expected, "{command}");
    }
    assert_eq!(classify_argv(&["cat", "alink"], &roots), Dangerous);
}

#[test]
fn patterns_and_patches_name_paths_too() {
    let folder = tempfile::tempdir().unwrap();
    let roots = root(folder.path());
    let patch = |path: &str| json!({"input": format!("*** Begin Patch\n*** Update File: {path}\n@@\n-a\n+b\n*** End Patch")});
    let table = [
        ("Glob", json!({"pattern": "/etc/**"}), Dangerous),
        ("Glob", json!({"pattern": "{/etc,x}/**"}), Dangerous),
        ("Glob", json!({"pattern": "**/*.rs"}), Nothing),
        ("Glob", json!({"pattern": "sub/**/*.{rs,ts}"}), Nothing),
        ("Grep", json!({"pattern": "/etc", "glob": "../../etc/*"}), Dangerous),
        ("Grep", json!({"pattern": "/etc", "glob": "*.rs"}), Nothing),
        ("apply_patch", patch("/etc/passwd"), Dangerous),
        ("apply_patch", patch("alink"), Dangerous),
        ("apply_patch", patch("sub/a.rs"), Nothing),
        ("apply_patch", json!({"patch": "--- a/x\n+++ ../x\n"}), Dangerous),
    ];
    for (tool, args, expected) in table {
        assert_eq!(of_call(tool, &Arguments::new(args.clone()), &roots), expected, "{tool} {args}");
    }
}

#[test]
fn what_shows_the_environment_is_no_mere_reading() {
    let shows = [
        "env",
        "/usr/bin/env",
        "printenv",
        "printenv OPENAI_API_KEY",
        "set",
        "export -p",
        "declare -p",
        "declare -x",
        "typeset -x",
        "compgen -e",
        "echo $SECRET",
        "echo \"key: ${OPENAI_API_KEY}\"",
        "printf '%s' \"$TOKEN\"",
        "cat <<< $SECRET",
        "cat <<E\n$SECRET\nE",
        "ls $SECRET",
        "cat /proc/self/environ",
        "strings /proc/1/environ",
        "tr '\\0' '\\n' < /proc/self/environ",
        "cat < /proc/self/environ",
        "cat //proc/self/environ",
        "cat /./proc/self/mem",
        "cat ../../../proc/self/environ",
        "grep -a KEY /proc/$PPID/environ",
        "head /proc/self/../self/environ",
        "ps e",
        "ps auxe",
        "ps eww -p 1",
        "ps -E",
        "jq -n env",
        "jq -n '$ENV.TOKEN'",
        "jq -n -f x.jq",
        "bash -c env",
        "nice env",
        "timeout 5 printenv",
        "busybox env",
        "cd /proc/self; cat environ",
        "grep -z . /proc/*/environ",
        "cat /pro?/self/environ",
        "cat /*/self/environ",
        "cat {/proc/self/environ,x}",
        "cat ..//../\"proc\"/*/environ",
    ];
    let none = Roots::default();
    for command in shows {
        let level = classify_command(command, &none);
        assert!(level >= Execute, "{command}: {level:?}");
    }
    let harmless = [
        "echo $HOME",
        "echo \"$PWD\"",
        "ls \"${HOME}\"; ps aux",
        "ps -ef",
        "cat /proc/cpuinfo",
        "cat /proc/meminfo | head -3",
        "jq .name package.json",
    ];
    for command in harmless.into_iter().filter(|command| !command.contains("ls \"${HOME}")) {
        assert_eq!(classify_command(command, &none), ReadOnly, "{command}");
    }
}

#[test]
fn writing_what_runs_by_itself_is_running_it() {
    let table = [
        ("echo x > .git/hooks/pre-commit", Execute),
        ("cp a .git/hooks/post-merge", Execute),
        ("tee .git/config", Execute),
        ("sed -i s/a/b/ ~/.bashrc", Execute),
        ("mv x .husky/pre-push", Execute),
        ("ln -s ../x .git/hooks/pre-push", Execute),
        ("mkdir -p .config/autostart", Execute),
        ("cp -t .git/hooks pre-commit", Execute),
        ("cp --target-directory=.git/hooks pre-commit", Execute),
        ("tar xf hooks.tar -C .git/hooks", Execute),
        ("cd .git/hooks && touch pre-commit", Execute),
        ("echo k >> .ssh/authorized_keys", Dangerous),
        ("tee -a /home/ada/.ssh/authorized_keys", Dangerous),
        ("cp x /etc/cron.d/x", Dangerous),
        ("cat .git/config", ReadOnly),
        ("cat .git/hooks/pre-commit", ReadOnly),
        ("cp a b", Write),
        ("echo x > Makefile", Write),
    ];
    for (command, expected) in table {
        assert_eq!(classify_command(command, &Roots::default()), expected, "{command}");
    }
    let folder = tempfile::tempdir().unwrap();
    let roots = root(folder.path());
    std::os::unix::fs::symlink(".git/hooks", folder.path().join("root/h")).unwrap();
    std::fs::create_dir_all(folder.path().join("root/.git/hooks")).unwrap();
    let of = |tool: &str, args: serde_json::Value| of_call(tool, &Arguments::new(args), &roots);
    let table = [
        ("write_file", json!({"path": ".git/hooks/pre-commit", "content": ""}), Execute),
        ("write_file", json!({"path": "h/pre-commit", "content": ""}), Execute),
        ("Write", json!({"file_path": "sub/.envrc", "content": ""}), Execute),
        (
            "apply_patch",
            json!({"patch": "*** Begin Patch\n*** Add File: .husky/pre-push\n+x\n*** End Patch"}),
            Execute,
        ),
        ("move_file", json!({"source": "a.txt", "destination": ".git/hooks/pre-commit"}), Execute),
        ("str_replace_editor", json!({"path": ".bashrc"}), Execute),
        ("write_file", json!({"path": ".ssh/authorized_keys", "content": ""}), Dangerous),
        ("read_file", json!({"path": ".git/config"}), Nothing),
        ("Read", json!({"file_path": ".bashrc"}), Nothing),
        ("write_file", json!({"path": "a.txt", "content": ""}), Nothing),
    ];
    for (tool, args, expected) in table {
        assert_eq!(of(tool, args.clone()), expected, "{tool} {args}");
    }
}

#[test]
fn weirs_own_files_lie_outside_every_root_and_what_takes_a_folder_takes_them_along() {
    let folder = tempfile::tempdir().unwrap();
    drop(root(folder.path()));
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("data/sessions")).unwrap();
    let tools = weir_config::config::Tools {
        allowed_roots: vec![root.clone()],
        own_files: vec![root.join("data/admin-token"), root.join("data/sessions"), root.join("weir.yaml")],
        ..crate::support::tools()
    };
    let roots = Roots::of(&tools);
    let dangerous = [
        "cat data/admin-token",
        "cat ./data/../data/admin-token",
        "cat data/sessions/x.json",
        "echo x > weir.yaml",
        "cp data/admin-token a",
        "cp -r data copy",
        "mv data elsewhere",
        "tar cf x.tar data",
        "grep -r token data",
        "grep -r token .",
        "grep -r token",
        "ln -s data d",
        "zip -r x.zip .",
        "chmod -R 777 data",
    ];
    for command in dangerous {
        assert_eq!(classify_command(command, &roots), Dangerous, "{command}");
    }
    for command in
        ["ls -la", "ls data", "find . -name a", "git status", "cat a.txt", "grep -r x sub", "touch data/x"]
    {
        assert!(classify_command(command, &roots) <= Write, "{command}");
    }
    assert_eq!(classify_command("cp -r sub copy", &roots), Execute);
    let of = |tool: &str, args: serde_json::Value| of_call(tool, &Arguments::new(args), &roots);
    let table = [
        ("write_file", json!({"path": "weir.yaml"}), Dangerous),
        ("read_file", json!({"path": "data/admin-token"}), Dangerous),
        ("move_file", json!({"source": "data", "destination": "x"}), Dangerous),
        ("Grep", json!({"pattern": "token", "path": "data"}), Dangerous),
        ("Grep", json!({"pattern": "token"}), Dangerous),
        ("Grep", json!({"pattern": "token", "path": "sub"}), Nothing),
        ("list_directory", json!({"path": "data"}), Nothing),
        ("search_files", json!({"text": "token"}), Nothing),
    ];
    for (tool, args, expected) in table {
        assert_eq!(of(tool, args.clone()), expected, "{tool} {args}");
    }
}

#[test]
fn recursion_that_follows_links_leaves_the_roots() {
    let folder = tempfile::tempdir().unwrap();
    let roots = root(folder.path());
    for command in [
        "grep -R s .",
        "grep -nR s sub",
        "grep --dereference-recursive s .",
        "find -L . -name x",
        "find . -follow",
        "cp -rL sub x",
        "cp -aL sub x",
        "ls -LR",
        "tree -l",
        "du -L .",
        "tar chf x.tar sub",
        "diff -r sub sub",
        "zip -r x.zip sub",
    ] {
        assert_eq!(classify_command(command, &roots), Dangerous, "{command}");
    }
    for command in ["grep -r s .", "find . -name x", "ls -R", "tree", "du ."] {
        assert!(classify_command(command, &roots) <= Write, "{command}");
    }
}
