use super::*;

const OPTIONS: LoadOptions = LoadOptions { now: jiff::Timestamp::UNIX_EPOCH };

fn rules(text: &str) -> RuleSet {
    match load_stored(&[stored_file(text.to_owned())], &OPTIONS) {
        Ok(loaded) => loaded.rules,
        Err(error) => panic!("{error:?}\n{text}"),
    }
}

fn new_rule(text: &str) -> NewRule {
    let loaded = weir_rules::load(&[alone(text)], &OPTIONS).unwrap();
    NewRule { text: text.to_owned(), json: to_json(&loaded.rules.rules()[0]) }
}

fn edited(text: &str, edit: &Edit) -> String {
    match apply(text, &rules(text), edit, &OPTIONS) {
        Ok(candidate) => {
            assert_eq!(all_json(&rules(&candidate.text)), all_json(&candidate.loaded.rules));
            candidate.text
        }
        Err(error) => panic!("{error}"),
    }
}

const B: &str = "id: b\non: request\nwhen: request.stream\nthen: log\n";

#[test]
fn the_text_around_an_edit_stays_as_it_is() {
    let a = "- id: a\n  on: request\n  when: request.free\n  then: log\n";
    let wide = "# head\nrules: # ours\n    # about a\n    - on: request\n      id: a\n      when: |\n        request.free\n      then: log\n\n    # about c\n    - {id: c, on: request, when: request.byok, then: block}\n# tail\n";
    let table: &[(&str, Edit, &str)] = &[
        (
            "",
            Edit::Add(new_rule(B)),
            "rules:\n  - id: b\n    on: request\n    when: request.stream\n    then: log\n",
        ),
        (
            "rules: []\n",
            Edit::Add(new_rule(B)),
            "rules:\n  - id: b\n    on: request\n    when: request.stream\n    then: log\n",
        ),
        (
            &format!("rules:\n{a}"),
            Edit::Add(new_rule(B)),
            &format!("rules:\n{a}- id: b\n  on: request\n  when: request.stream\n  then: log\n"),
        ),
        (&format!("rules:\n{a}"), Edit::Remove("a".to_owned()), "rules: []\n"),
        (
            wide,
            Edit::Remove("a".to_owned()),
            "# head\nrules: # ours\n    # about c\n    - {id: c, on: request, when: request.byok, then: block}\n# tail\n",
        ),
        (
            wide,
            Edit::Replace("a".to_owned(), new_rule(&B.replace("id: b", "id: a"))),
            "# head\nrules: # ours\n    - id: a\n      on: request\n      when: request.stream\n      then: log\n\n    # about c\n    - {id: c, on: request, when: request.byok, then: block}\n# tail\n",
        ),
    ];
    for (text, edit, expected) in table {
        assert_eq!(edited(text, edit), *expected, "{edit:?} of\n{text}");
    }
}

#[test]
fn a_rule_keeps_its_text_to_the_last_blank() {
    let sets = [
        "",
        "rules:\n  - id: a\n    on: request\n    when: request.free\n    then: log\n\n  # about c\n  - id: c\n    on: request\n    when: request.byok\n    then: log\n",
        "# head\nrules:\n- {id: a, on: request, when: request.free, then: log}\n# tail\n",
    ];
    let table = [
        B.to_owned(),
        format!("# why\n{B}"),
        format!("# why\n\n{B}"),
        format!("\n\n# why\n# and\n\n#   how\n\n{B}\n\n"),
        format!("{B}# the end\n"),
        format!("{B}   # further right\n\n# and left\n"),
        B.replace("on: request\n", "on:   request   # trailing   \n\n\n"),
        B.replace("when: request.stream", "when: |\n  request.stream\n\n    && true\n"),
        B.replace("when: request.stream", "when: >-\n    request.stream   \n      || true"),
        B.replace("then: log", "then: log\nbecause: |+\n  two lines,\n   one of them further right\n\n"),
        B.replace('\n', "\r\n"),
        format!("  # indented\n{B}"),
        B.replace("request.stream", "'request.model == \"- id: x\"'"),
    ];
    for typed in &table {
        for set in sets {
            let number = if set.is_empty() { 0 } else { rules(set).rules().len() };
            let added = edited(set, &Edit::Add(new_rule(typed)));
            assert_eq!(text_of(&added, number).as_ref(), Some(typed), "{added}");
            // Others stay as they are while it is edited, and it stays while they are.
            let again = edited(&added, &Edit::Replace("b".to_owned(), new_rule(&format!("# new\n\n{B}"))));
            assert_eq!(text_of(&again, number), Some(format!("# new\n\n{B}")), "{again}");
            for at in 0..number {
                assert_eq!(text_of(&added, at), text_of(set, at), "{added}");
            }
            let then = edited(&added, &Edit::Add(new_rule(&B.replace("id: b", "id: z"))));
            assert_eq!(text_of(&then, number).as_ref(), Some(typed), "{then}");
            let gone = edited(&then, &Edit::Remove("b".to_owned()));
            assert_eq!(rules(&gone).rules().len(), number + 1);
        }
    }
}

#[test]
fn json_is_written_in_block_style() {
    let json =
        "{\"id\": \"b\", \"on\": \"request\", \"when\": \"request.model == 'no: #x'\", \"then\": \"log\"}";
    let text = edited(
        "# kept\nrules:\n  - {id: a, on: request, when: request.free, then: log}\n",
        &Edit::Add(new_rule(json)),
    );
    assert!(text.starts_with("# kept\n") && text.contains("\n  - id: b\n"), "{text}");
    assert!(!text.contains('"') || !text.contains("{\""), "{text}");
}

#[test]
fn what_the_lines_do_not_show_is_written_out_anew() {
    let table = [
        "{rules: [{id: a, on: request, when: request.free, then: log}]}",
        "rules: [{id: a, on: request, when: request.free, then: log},\n {id: c, on: request, when: request.byok, then: log}]\n",
        "# rules:\nrules:\n  - id: a\n    on: request\n    when: request.free\n    then: log\n    because: |\n      - id: x\n      rules:\n",
        "rules:\n  - id: a\n    on: request\n    when: request.free\n    then: log\n    because: 'two\n\n     - lines'\n",
        // The empty line that would set the new rule apart would become part of the old one's text.
        "rules:\n  - {id: a, on: request, when: request.free, then: log}\n\n  - id: c\n    on: request\n    when: request.byok\n    then: log\n    because: |+\n      text\n",
    ];
    for text in table {
        let before = all_json(&rules(text));
        let after = all_json(&rules(&edited(text, &Edit::Add(new_rule(B)))));
        assert_eq!(after.len(), before.len() + 1, "{text}");
        assert_eq!(after[..before.len()], before[..], "{text}");
        let gone = all_json(&rules(&edited(text, &Edit::Remove("a".to_owned()))));
        assert_eq!(gone[..], before[1..], "{text}");
    }
}

#[test]
fn ids_are_looked_up_and_kept_apart() {
    let text = "rules:\n  - {id: a, on: request, when: request.free, then: log}\n  - {id: b, on: request, when: request.byok, then: log}\n";
    let refused = |edit| apply(text, &rules(text), &edit, &OPTIONS).err().map(|error| error.to_string());
    let table = [
        (Edit::Add(new_rule(B)), "there is a rule `b` already"),
        (Edit::Replace("c".to_owned(), new_rule(B)), "there is no rule `c`"),
        (Edit::Replace("a".to_owned(), new_rule(B)), "there is a rule `b` already"),
        (Edit::Remove("c".to_owned()), "there is no rule `c`"),
    ];
    for (edit, expected) in table {
        assert_eq!(refused(edit).as_deref(), Some(expected));
    }
}

#[test]
fn several_files_become_one_that_loads_to_the_same_rules() {
    let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), text: text.to_owned() };
    let one = file(
        "one.yaml",
        "# of one\nrules:\n- id: a\n  # why\n  on: request\n  when: request.free\n  then: log\n",
    );
    let two = file(
        "two.yaml",
        "rules:\n    - id: c\n      on: request\n      when: >\n        request.byok\n      then: log\n",
    );
    let flow = file("flow.yaml", "rules: [{id: d, on: request, when: request.stream, then: log}]");
    let json = file(
        "x.json",
        "{\"rules\": [{\"id\": \"e\", \"on\": \"request\", \"when\": \"true\", \"then\": \"log\"}]}",
    );
    let empty = file("empty.yaml", "rules: []\n");
    let table = [
        (vec![one.clone()], "# of one"),
        (vec![one.clone(), two.clone(), empty.clone()], "# why"),
        (vec![one, flow], "id: d"),
        (vec![json], "- id: e"),
        (vec![two, empty], "# two.yaml"),
    ];
    for (files, kept) in table {
        let loaded = weir_rules::load(&files, &OPTIONS).unwrap();
        let text = join(&files, &loaded.rules, &OPTIONS);
        assert_eq!(all_json(&rules(&text)), all_json(&loaded.rules), "{text}");
        assert!(text.contains(kept), "{kept} in\n{text}");
    }
}

#[test]
fn places_are_those_of_what_was_sent() {
    let table = [
        ("id: x\non: request\nwhen: request.nothing\nthen: log\n", 3, "when"),
        ("---\n# mine\n\nid: x\non: request\nwhen: request.nothing\nthen: log\n", 6, "when"),
        (
            "{\n  \"id\": \"x\", \"on\": \"request\",\n  \"when\": \"request.nothing\", \"then\": \"log\"}",
            3,
            "when",
        ),
        ("id: x\non: request\nwhen: request.free\nthen: 7\n", 4, "then"),
    ];
    for (text, line, path) in table {
        let failure = weir_rules::load(&[alone(text)], &OPTIONS).unwrap_err();
        let diagnostic = as_sent(failure.diagnostics[0].clone());
        assert_eq!((diagnostic.line, diagnostic.path.as_str()), (line, path), "{diagnostic}");
        let sent = text.lines().nth(line - 1).unwrap();
        assert_eq!(diagnostic.source_line.as_deref(), Some(sent));
    }
}
