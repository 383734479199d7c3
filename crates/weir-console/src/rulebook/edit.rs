//! Changing the text of a rule set by one rule, and joining several files into one.
//!
//! The text is edited line by line, so that comments and the hand of the author survive. That is a guess about the
//! layout, and is never trusted: the result must load to exactly the rules that are meant, else the set is written
//! out anew from the rules themselves, without comments.

use serde_json::{Value, json};
use weir_rules::{Diagnostic, LoadOptions, Loaded, Rule, RuleSet, Severity, SourceFile};

use super::loading::{load_stored, stored_file};
use super::{ApplyError, Candidate, STORED_NAME};

#[cfg(test)]
mod tests;

/// One rule as it was sent.
#[derive(Clone, Debug)]
pub(super) struct NewRule {
    /// The rule alone, in YAML or JSON.
    pub(super) text: String,
    /// The same, read.
    pub(super) json: Value,
}

/// A change by one rule.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// At the end.
    Add(NewRule),
    /// In the place of the rule with this id.
    Replace(String, NewRule),
    /// The rule with this id.
    Remove(String),
}

/// An edit with the position it concerns.
enum Placed<'a> {
    Add(&'a NewRule),
    Replace(usize, &'a NewRule),
    Remove(usize),
}

/// The name of a rule that is sent alone.
const ALONE_NAME: &str = "rule";

/// A file with one rule, which is moved one line down and two columns to the right. See [`as_sent`].
pub(super) fn alone(text: &str) -> SourceFile {
    SourceFile { name: ALONE_NAME.to_owned(), text: format!("rules:\n{}", as_item(text, "")) }
}

/// The text of a rule as an item of a list, line for line.
fn as_item(text: &str, indent: &str) -> String {
    let mut item = String::with_capacity(text.len().saturating_mul(2));
    let mut begun = false;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let content = line.trim();
        if content.is_empty() || (!begun && content == "---") {
            // An empty line, kept for the sake of the line numbers.
        } else if !begun && content.starts_with('#') {
            // Above the item, where the author of a file has it.
            item.push_str(indent);
            item.push_str(content);
        } else if begun {
            item.push_str(indent);
            item.push_str("  ");
            item.push_str(line);
        } else {
            begun = true;
            item.push_str(indent);
            item.push_str("- ");
            item.push_str(line);
        }
        item.push('\n');
    }
    item
}

/// A diagnostic of [`alone`] with the places of the text that was sent.
pub(super) fn as_sent(mut diagnostic: Diagnostic) -> Diagnostic {
    diagnostic.line = diagnostic.line.saturating_sub(1).max(1);
    diagnostic.column = diagnostic.column.saturating_sub(2).max(1);
    let path = diagnostic.path.strip_prefix("rules[0]").unwrap_or(&diagnostic.path);
    diagnostic.path = path.strip_prefix('.').unwrap_or(path).to_owned();
    diagnostic.source_line = diagnostic.source_line.map(|line| line.chars().skip(2).collect());
    diagnostic
}

/// What was sent is no single rule.
pub(super) fn not_one_rule(found: usize) -> Diagnostic {
    let help = "send a whole set to /api/rules with PUT";
    about_the_whole(None, String::new(), format!("one rule is expected here, not {found}"), help.to_owned())
}

/// What was sent in place of a rule has another id.
pub(super) fn other_id(id: &str, sent: String) -> Diagnostic {
    let message = format!("the rule is `{sent}`, not `{id}`");
    about_the_whole(
        Some(sent),
        "id".to_owned(),
        message,
        "to rename a rule, delete it and add it anew".to_owned(),
    )
}

fn about_the_whole(rule: Option<String>, path: String, message: String, help: String) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: ALONE_NAME.to_owned(),
        line: 0,
        column: 0,
        rule,
        path,
        message,
        help: Some(help),
        source_line: None,
        span_len: 1,
    }
}

/// The keys and values of a rule.
pub(super) fn to_json(rule: &Rule) -> Value {
    // What was loaded can be written; the signature is serde's.
    rule.to_json().unwrap_or_default()
}

fn all_json(rules: &RuleSet) -> Vec<Value> {
    rules.rules().iter().map(to_json).collect()
}

/// The set and the text that an edit makes of a set and its text.
pub(super) fn apply(
    text: &str,
    rules: &RuleSet,
    edit: &Edit,
    options: &LoadOptions,
) -> Result<Candidate, ApplyError> {
    let placed = place(rules, edit)?;
    if let Placed::Replace(at, new) = &placed
        && text_of(text, *at).is_some_and(|now| now == whole_lines(&new.text))
        && let Some(same) = load_if(text.to_owned(), &all_json(rules), options)
    {
        return Ok(same);
    }
    let mut wanted = all_json(rules);
    match &placed {
        Placed::Add(new) => wanted.push(new.json.clone()),
        Placed::Replace(at, new) => {
            if let Some(rule) = wanted.get_mut(*at) {
                *rule = new.json.clone();
            }
        }
        Placed::Remove(at) => {
            wanted.remove(*at);
        }
    }
    let (at, typed) = match &placed {
        Placed::Add(new) => (rules.rules().len(), whole_lines(&block_style(new))),
        Placed::Replace(at, new) => (*at, whole_lines(&block_style(new))),
        Placed::Remove(_) => (0, String::new()),
    };
    let keeps = |made: &Candidate| typed.is_empty() || text_of(&made.text, at).as_ref() == Some(&typed);
    // The usual form where it gives back what was typed, else the one that always does. An empty line beside a rule is for
    // the eye, and left out where it would become part of a text.
    let mut loads = None;
    for (form, spaced) in
        [(Form::Usual, true), (Form::Usual, false), (Form::Apart, true), (Form::Apart, false)]
    {
        let made = splice(text, &placed, form, spaced).and_then(|text| load_if(text, &wanted, options));
        match made {
            Some(made) if keeps(&made) => return Ok(made),
            made => loads = loads.or(made),
        }
    }
    loads.map_or_else(|| write_out(&wanted, options), Ok)
}

/// A text whose last line is ended.
fn whole_lines(text: &str) -> String {
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// How a rule stands in the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Its first key beside the dash, comments above it.
    Usual,
    /// The dash by itself, and below it every line as it was typed, further to the right.
    Apart,
}

fn place<'a>(rules: &RuleSet, edit: &'a Edit) -> Result<Placed<'a>, ApplyError> {
    let position = |id: &str| rules.rules().iter().position(|rule| &*rule.id == id);
    let known = |id: &String| position(id).ok_or_else(|| ApplyError::UnknownRule(id.clone()));
    let free = |new: &NewRule, but: Option<usize>| match new.json.get("id").and_then(Value::as_str) {
        Some(id) if position(id).is_some_and(|at| Some(at) != but) => {
            Err(ApplyError::RuleExists(id.to_owned()))
        }
        _ => Ok(()),
    };
    match edit {
        Edit::Add(new) => free(new, None).map(|()| Placed::Add(new)),
        Edit::Replace(id, new) => {
            let at = known(id)?;
            free(new, Some(at)).map(|()| Placed::Replace(at, new))
        }
        Edit::Remove(id) => known(id).map(Placed::Remove),
    }
}

/// Loads a text if it gives exactly the wanted rules.
fn load_if(text: String, wanted: &[Value], options: &LoadOptions) -> Option<Candidate> {
    let loaded = load_stored(&[stored_file(text.clone())], options).ok()?;
    (all_json(&loaded.rules) == wanted).then_some(Candidate { loaded, text })
}

/// Writes rules out anew.
fn write_out(wanted: &[Value], options: &LoadOptions) -> Result<Candidate, ApplyError> {
    let text = json!({ "rules": wanted }).to_string();
    let Loaded { rules, warnings } = load_stored(&[stored_file(text)], options)?;
    let text = rules.to_yaml();
    Ok(Candidate { loaded: Loaded { rules, warnings }, text })
}

/// One text for a set that was loaded from these files.
pub(super) fn join(files: &[SourceFile], rules: &RuleSet, options: &LoadOptions) -> String {
    match files {
        [only] if !is_json(&only.text) => only.text.clone(),
        _ => {
            let wanted = all_json(rules);
            join_lines(files)
                .and_then(|text| load_if(text, &wanted, options))
                .map_or_else(|| rules.to_yaml(), |candidate| candidate.text)
        }
    }
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

fn join_lines(files: &[SourceFile]) -> Option<String> {
    let mut joined = String::from("rules:\n");
    for file in files {
        let layout = Layout::of(&file.text)?;
        joined.push_str(&format!("  # {}\n", file.name));
        for line in layout.lines.get(layout.list_line + 1..)? {
            let shifted = match line.get(..layout.indent) {
                _ if line.trim().is_empty() => "",
                Some(margin) if margin.trim().is_empty() => line.get(layout.indent..)?,
                // A comment further to the left than the list.
                _ if line.trim_start().starts_with('#') => line.trim_start(),
                _ => return None,
            };
            if !shifted.is_empty() {
                joined.push_str("  ");
                joined.push_str(shifted);
            }
            joined.push('\n');
        }
    }
    Some(joined)
}

/// Where the rules of a text lie, line by line.
struct Layout<'a> {
    lines: Vec<&'a str>,
    /// The line with `rules:`.
    list_line: usize,
    /// How far the items are indented.
    indent: usize,
    /// The first line of each item, comments directly above it included, and the line after its last one.
    items: Vec<std::ops::Range<usize>>,
}

impl<'a> Layout<'a> {
    /// The layout of a text in block style; nothing for any other.
    fn of(text: &'a str) -> Option<Self> {
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        let list_line = lines.iter().position(|line| is_list_key(line))?;
        let after = lines.get(list_line + 1..)?;
        let Some(first) = after.iter().find(|line| is_content(line)) else {
            return Some(Self { lines, list_line, indent: 2, items: Vec::new() });
        };
        let indent = indent_of(first);
        let starts: Vec<usize> = lines
            .iter()
            .enumerate()
            .skip(list_line + 1)
            .filter(|(_, line)| indent_of(line) == indent && is_dash(line))
            .map(|(at, _)| at)
            .collect();
        let items = ranges(&lines, list_line, &starts);
        Some(Self { lines, list_line, indent, items })
    }
}

/// The text of one rule alone, as it stands in the text of its set; nothing where that is in flow style.
pub(super) fn text_of(text: &str, at: usize) -> Option<String> {
    let layout = Layout::of(text)?;
    let lines = layout.lines.get(layout.items.get(at)?.clone())?;
    if let [dash, typed @ ..] = lines
        && dash.trim() == "-"
        && let Some(alone) = typed_apart(typed, layout.indent + 2)
    {
        return Some(alone);
    }
    let mut alone = String::new();
    let mut begun = false;
    for line in lines {
        let shifted = if begun && indent_of(line) >= layout.indent + 2 {
            line.get(layout.indent + 2..).unwrap_or_default()
        } else if begun || line.trim_start().starts_with('#') {
            // A comment above the rule, or one further to the left than its keys.
            line.trim_start()
        } else if is_dash(line) {
            begun = true;
            line.trim_start().get(2..).unwrap_or_default()
        } else {
            line.trim_start()
        };
        alone.push_str(shifted);
        alone.push('\n');
    }
    // Empty lines set it apart from the next one.
    let alone = alone.trim_end_matches('\n').to_owned() + "\n";
    (!is_json(&alone)).then_some(alone)
}

/// The lines of a rule in the form [`Form::Apart`]. Without the margin there are only empty lines that set it apart from
/// the next one: those of its own have it, too.
fn typed_apart(lines: &[&str], margin: usize) -> Option<String> {
    let end = lines.iter().rposition(|line| !line.is_empty())? + 1;
    let mut alone = String::new();
    for line in lines.get(..end)? {
        let (blank, rest) = line.split_at_checked(margin)?;
        if !blank.trim_matches(' ').is_empty() {
            return None;
        }
        alone.push_str(rest);
        alone.push('\n');
    }
    Some(alone)
}

/// A rule in the form [`Form::Apart`].
fn as_item_apart(text: &str, indent: &str) -> String {
    let lines = text.split_terminator('\n').map(|line| format!("\n{indent}  {line}"));
    std::iter::once(format!("{indent}-")).chain(lines).collect()
}

/// A rule in block style, from its keys and values.
pub(super) fn written(json: &Value) -> String {
    block_style(&NewRule { text: json.to_string(), json: json.clone() }).trim_end().to_owned() + "\n"
}

/// The text of a rule with another mode. `enforce` is what a rule without one is.
pub(super) fn with_mode(text: &str, mode: &str) -> String {
    let is_key = |line: &&str, key: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
    let said = (mode != "enforce").then(|| format!("mode: {mode}"));
    let mut lines: Vec<&str> = text.lines().filter(|line| !is_key(line, "mode")).collect();
    if let Some(said) = &said {
        let at = text.lines().take_while(|line| !is_key(line, "mode")).count();
        let at = match text.lines().any(|line| is_key(&line, "mode")) {
            true => at,
            // Beside what it is about.
            false => lines.iter().position(|line| is_key(line, "when")).unwrap_or(lines.len()),
        };
        lines.insert(at.min(lines.len()), said);
    }
    lines.join("\n") + "\n"
}

/// From the comments above each start to before those above the next one.
fn ranges(lines: &[&str], list_line: usize, starts: &[usize]) -> Vec<std::ops::Range<usize>> {
    let is_comment = |at: usize| lines.get(at).is_some_and(|line| line.trim_start().starts_with('#'));
    // A dash by itself has its own comments below it; see `Form::Apart`.
    let is_apart = |at: usize| lines.get(at).is_some_and(|line| line.trim() == "-");
    let with_comments = |start: usize| {
        let above = (list_line + 1..start).rev().take_while(|at| is_comment(*at) && !is_apart(start));
        above.last().unwrap_or(start)
    };
    let heads: Vec<usize> = starts.iter().map(|start| with_comments(*start)).collect();
    let ends = heads.iter().copied().skip(1).chain([lines.len()]);
    heads.iter().copied().zip(ends).map(|(head, end)| head..end).collect()
}

fn is_list_key(line: &str) -> bool {
    line.strip_prefix("rules:").is_some_and(|rest| {
        let rest = rest.trim();
        rest.is_empty() || rest.starts_with('#') || rest == "[]"
    })
}

fn is_content(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with('#')
}

fn is_dash(line: &str) -> bool {
    let line = line.trim();
    line == "-" || line.starts_with("- ")
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The text with one item added, replaced or removed. A replaced rule's own comments go, since they may have been
/// about what was there.
fn splice(text: &str, placed: &Placed<'_>, form: Form, spaced: bool) -> Option<String> {
    let text = if text.is_empty() { "rules:\n" } else { text };
    let layout = Layout::of(text)?;
    let indent = " ".repeat(layout.indent);
    let written = |new: &NewRule| match form {
        Form::Usual => as_item(&block_style(new), &indent).trim_end_matches('\n').to_owned(),
        Form::Apart => as_item_apart(&block_style(new), &indent),
    };
    let (range, new) = match placed {
        Placed::Add(new) => (layout.lines.len()..layout.lines.len(), written(new)),
        Placed::Replace(at, new) => (layout.items.get(*at)?.clone(), written(new)),
        Placed::Remove(at) => (layout.items.get(*at)?.clone(), String::new()),
    };
    let before = layout.lines.get(..range.start)?;
    let after = layout.lines.get(range.end..)?;
    let list = layout.list_line;
    let mut out: Vec<&str> = Vec::with_capacity(layout.lines.len() + 1);
    for (at, line) in before.iter().enumerate() {
        // `rules: []` that gets its first rule.
        out.push(if at == list && line.trim_end().ends_with("[]") { "rules:" } else { line });
    }
    // An empty line stays between two rules where there was one.
    let apart = spaced && layout.items.len() > 1 && text.contains("\n\n");
    if !new.is_empty() {
        if apart && matches!(placed, Placed::Add(_)) && out.last().is_some_and(|line| !line.is_empty()) {
            out.push("");
        }
        out.push(&new);
        if apart && !after.is_empty() {
            out.push("");
        }
    }
    out.extend(after);
    Some(out.join("\n") + "\n")
}

/// The text of a rule in block style: as it was sent, unless that was JSON.
fn block_style(new: &NewRule) -> String {
    if !is_json(&new.text) {
        return new.text.clone();
    }
    let file = SourceFile { name: STORED_NAME.to_owned(), text: json!({ "rules": [new.json] }).to_string() };
    let options = LoadOptions { now: jiff::Timestamp::UNIX_EPOCH };
    let rendered =
        weir_rules::load(&[file], &options).map(|loaded| loaded.rules.to_yaml()).unwrap_or_default();
    let Some(layout) = Layout::of(&rendered) else { return new.text.clone() };
    let lines = layout.lines.get(layout.list_line + 1..).unwrap_or_default();
    let unindented: Vec<&str> =
        lines.iter().map(|line| line.get(layout.indent + 2..).unwrap_or_default()).collect();
    unindented.join("\n")
}
