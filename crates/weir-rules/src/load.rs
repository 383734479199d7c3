//! Rule files to a [`RuleSet`], or to everything that is wrong with them.
//!
//! As written -> checked: files become trees with places, trees become drafts, drafts whose condition compiles become
//! rules. Each step goes on after an error, so that all of them are reported at once.

mod doubts;
mod draft;
mod examples;
mod file;
mod then;
mod words;

use std::collections::HashMap;

use jiff::Timestamp;

use crate::compile::{self, Compiled, Remark};
use crate::diagnostic::{Diagnostic, Severity};
use crate::expr::Expr;
use crate::facts::Fact;
use crate::failure;
use crate::rule::{Rule, Then};
use crate::set::RuleSet;
use crate::yaml::{Document, Span};
use doubts::Place;
use draft::Draft;

/// A rule file's name and text. YAML 1.2, of which JSON is a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// The name, for diagnostics.
    pub name: String,
    /// The text.
    pub text: String,
}

/// What loading depends on besides the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// The time: a rule that has expired by then is worth a warning, and examples without `now` are decided at it.
    pub now: Timestamp,
}

/// Rules that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: RuleSet,
    /// What is doubtful about them.
    pub warnings: Vec<Diagnostic>,
}

/// Rules that cannot be used: everything that is wrong with them, by file and line, warnings included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFailure {
    /// At least one error, and all warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads rules: parses the files, checks them, compiles the conditions and runs the examples.
///
/// ```
/// use weir_rules::{LoadOptions, SourceFile, load};
///
/// let text = "rules: [{id: no-curl, on: request, when: 'request.user_agnt.contains(\"curl/\")', then: block}]".to_owned();
/// let options = LoadOptions { now: "2026-11-20T10:00:00Z".parse().unwrap() };
/// let failure = load(&[SourceFile { name: "a.yaml".into(), text }], &options).unwrap_err();
/// assert_eq!(failure.diagnostics[0].message, "unknown fact `request.user_agnt`");
/// assert_eq!(failure.diagnostics[0].help.as_deref(), Some("did you mean `request.user_agent`?"));
/// ```
///
/// # Errors
/// All errors of all files, each with its place.
pub fn load(files: &[SourceFile], options: &LoadOptions) -> Result<Loaded, LoadFailure> {
    load_reserved(files, options, Some(failure::pack()))
}

/// Loads rules, none of which may have an id of another set, which stays behind them.
pub(crate) fn load_reserved(
    files: &[SourceFile],
    options: &LoadOptions,
    reserved: Option<&RuleSet>,
) -> Result<Loaded, LoadFailure> {
    let documents: Vec<Document<'_>> = files.iter().map(|f| Document::new(&f.name, &f.text)).collect();
    let mut diagnostics = Vec::new();
    let drafts: Vec<Draft<'_>> =
        documents.iter().flat_map(|document| file::read(document, options, &mut diagnostics)).collect();
    report_duplicates(&drafts, &mut diagnostics);
    if let Some(reserved) = reserved {
        report_reserved(&drafts, reserved, &mut diagnostics);
    }
    let compiled = compile_drafts(&drafts);
    let (mut rules, mut conditions) = (Vec::with_capacity(drafts.len()), Vec::with_capacity(drafts.len()));
    let mut places = Vec::with_capacity(drafts.len());
    for (draft, compiled) in drafts.into_iter().zip(compiled) {
        let (document, path) = (draft.document, draft.path.clone());
        let place = draft.when.as_ref().map(|(_, span)| Place { document, span: *span, path });
        if let Some((rule, condition)) = finish(draft, compiled, options, &mut diagnostics) {
            rules.push(rule);
            conditions.push(condition);
            places.extend(place);
        }
    }
    if diagnostics.iter().any(Diagnostic::is_error) {
        sort(&mut diagnostics, files);
        return Err(LoadFailure { diagnostics });
    }
    doubts::find(&rules, &conditions, &places, options.now, &mut diagnostics);
    sort(&mut diagnostics, files);
    Ok(Loaded { rules: RuleSet::new(rules, conditions), warnings: diagnostics })
}

/// By file as listed, then by place.
fn sort(diagnostics: &mut [Diagnostic], files: &[SourceFile]) {
    let place: HashMap<&str, usize> = files.iter().enumerate().map(|(at, f)| (f.name.as_str(), at)).collect();
    diagnostics.sort_by_key(|d| (place.get(d.file.as_str()).copied(), d.line, d.column));
}

/// Ids are unique over all files; both places are named.
fn report_duplicates(drafts: &[Draft<'_>], diagnostics: &mut Vec<Diagnostic>) {
    let mut known: HashMap<&str, &Draft<'_>, foldhash::fast::RandomState> = HashMap::default();
    for draft in drafts {
        let Some((id, span)) = &draft.id else { continue };
        let Some(first) = known.get(id.as_str()) else {
            known.insert(id, draft);
            continue;
        };
        let first_line = first.id.as_ref().map_or(0, |(_, span)| first.document.line(span.start));
        let mut diagnostic = draft.document.diagnostic(
            Severity::Error,
            *span,
            format!("{}.id", draft.path),
            format!("the id `{id}` is used twice"),
        );
        diagnostic.rule = Some(id.clone());
        diagnostic.help = Some(format!("it is used first at {}:{first_line}", first.document.name));
        diagnostics.push(diagnostic);
    }
}

/// The ids of the built-in pack are taken: a rule with one of them would look as if it replaced the pack's.
fn report_reserved(drafts: &[Draft<'_>], reserved: &RuleSet, diagnostics: &mut Vec<Diagnostic>) {
    for draft in drafts {
        let Some((id, span)) = draft.id.as_ref().filter(|(id, _)| reserved.get(id).is_some()) else {
            continue;
        };
        let mut diagnostic = draft.document.diagnostic(
            Severity::Error,
            *span,
            format!("{}.id", draft.path),
            format!("the id `{id}` is one of the built-in failure pack"),
        );
        diagnostic.rule = Some(id.clone());
        diagnostic.help = Some(
            "choose another: your rules are asked before the pack's, so that they decide first".to_owned(),
        );
        diagnostics.push(diagnostic);
    }
}

/// Compiles the conditions of all drafts that have one and whose boundary is known, in one go.
fn compile_drafts(drafts: &[Draft<'_>]) -> Vec<Option<Compiled>> {
    let source = |draft: &'_ Draft<'_>| {
        let forbidden = matches!(draft.then, Some(Then::Level(_))).then_some((
            Fact::CallLevel,
            "a rule that sets the level cannot read `call.level`, which follows from it",
        ));
        Some((draft.on?, forbidden))
    };
    let sources: Vec<compile::Source<'_>> = drafts
        .iter()
        .filter_map(|draft| {
            let ((on, forbidden), (when, _)) = (source(draft)?, draft.when.as_ref()?);
            Some(compile::Source { on, when, forbidden })
        })
        .collect();
    let mut compiled = compile::compile_all(&sources).into_iter();
    drafts.iter().map(|d| if d.on.is_some() && d.when.is_some() { compiled.next() } else { None }).collect()
}

/// Reports what the compiler found, runs the examples, and makes the rule if nothing is wrong with it.
fn finish(
    draft: Draft<'_>,
    compiled: Option<Compiled>,
    options: &LoadOptions,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(Rule, Expr)> {
    let Compiled { expr, warnings } = compiled?;
    let mut report =
        |severity, remark: &Remark| diagnostics.extend(condition_diagnostic(&draft, severity, remark));
    warnings.iter().for_each(|remark| report(Severity::Warning, remark));
    let expr = match expr {
        Ok(expr) => expr,
        Err(remarks) => {
            remarks.iter().for_each(|remark| report(Severity::Error, remark));
            return None;
        }
    };
    examples::run(&draft, &expr, options, diagnostics);
    Some((draft.into_rule()?, expr))
}

/// A remark on a condition, at its place in the file.
fn condition_diagnostic(draft: &Draft<'_>, severity: Severity, remark: &Remark) -> Option<Diagnostic> {
    let (when, scalar) = draft.when.as_ref()?;
    let range = Span { start: remark.start, end: remark.end };
    let span = if range.end > range.start { draft.document.locate(*scalar, when, range) } else { *scalar };
    let mut diagnostic =
        draft.document.diagnostic(severity, span, format!("{}.when", draft.path), remark.message.clone());
    diagnostic.rule = draft.id.as_ref().map(|(id, _)| id.clone());
    diagnostic.help.clone_from(&remark.help);
    Some(diagnostic)
}
