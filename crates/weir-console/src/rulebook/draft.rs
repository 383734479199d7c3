//! One rule by itself, as an editor has it: its text, what is wrong with it and where, its examples with their results, and
//! saving it without losing what somebody else has saved meanwhile.

use serde::Serialize;
use serde_json::{Value, json};
use weir_core::Mode;
use weir_rules::{Diagnostic, Rule, SourceFile};

use super::loading::{blocking, stored_file};
use super::{Applied, ApplyError, Rulebook, edit};

/// Examples of a rule that are listed at most, of each kind.
const EXAMPLES_MAX: usize = 100;

/// The text of one rule in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleText {
    /// The rule's id.
    pub id: String,
    /// The version of its content.
    pub version: String,
    /// The rule alone, with the comments of its author.
    pub text: String,
}

/// One example of a rule, and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// `match` or `no_match`.
    pub kind: &'static str,
    /// Its place among those of its kind, from 1.
    pub number: usize,
    /// The facts, as JSON.
    pub facts: String,
    /// Whether it holds; nothing when the rule is too broken to try.
    pub holds: Option<bool>,
    /// Why it does not.
    pub message: Option<String>,
}

/// One rule that is being written.
#[derive(Clone, Debug, Serialize)]
pub struct Draft {
    /// Its id, when it can be read.
    pub id: Option<String>,
    /// What is wrong or doubtful, with the places of the text as it was given.
    pub diagnostics: Vec<Diagnostic>,
    /// Its examples.
    pub examples: Vec<Example>,
    /// The rule, when it has no errors.
    #[serde(skip)]
    pub rule: Option<Box<Rule>>,
}

impl Draft {
    /// Whether it could be saved.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.rule.is_some()
    }
}

/// How a draft was saved.
#[derive(Clone, Debug)]
pub enum Saved {
    /// It is stored and in force.
    Done(Applied),
    /// Somebody else has saved, added or removed this rule meanwhile: what stands there now, if anything.
    Overtaken(Option<RuleText>),
}

impl Rulebook {
    /// The text of one rule in force, and its version.
    ///
    /// # Errors
    /// `UnknownRule`, and as [`Self::current`].
    pub async fn text_of(&self, id: &str) -> Result<RuleText, ApplyError> {
        let active = self.current().await?;
        let (_, text) = self.export().await?;
        let rules = active.rules.rules();
        let unknown = || ApplyError::UnknownRule(id.to_owned());
        let at = rules.iter().position(|rule| &*rule.id == id).ok_or_else(unknown)?;
        let rule = rules.get(at).ok_or_else(unknown)?;
        let json = edit::to_json(rule);
        let found = edit::text_of(&text, at);
        // The text of another node's newer set may not be that of the rules in force here.
        let same = match &found {
            Some(found) => self.reads_as(found, &json).await,
            None => false,
        };
        let text = found.filter(|_| same).unwrap_or_else(|| edit::written(&json));
        Ok(RuleText { id: id.to_owned(), version: rule.version.to_string(), text })
    }

    /// Reads one rule: what is wrong with it, and what its examples say. `now_in` is the rule that it would replace.
    pub async fn draft(&self, text: &str, replaces: Option<&str>) -> Draft {
        let loaded = self.load_given(vec![edit::alone(text)]).await;
        let (rule, mut diagnostics) = match loaded {
            Ok(loaded) => match loaded.rules.rules() {
                [rule] => (Some(Box::new(rule.clone())), loaded.warnings),
                rules => (None, vec![edit::not_one_rule(rules.len())]),
            },
            Err(ApplyError::Diagnostics(diagnostics)) => (None, diagnostics),
            Err(_) => (None, Vec::new()),
        };
        diagnostics = diagnostics.into_iter().map(edit::as_sent).collect();
        let examples = examples(text, rule.as_deref(), &diagnostics);
        if let Some(rule) = &rule {
            diagnostics.extend(self.among_others(text, rule, replaces).await);
        }
        Draft { id: rule.as_ref().map(|rule| rule.id.to_string()), diagnostics, examples, rule }
    }

    /// What is doubtful about a rule among the others of the set; its place in that text is not the one of the draft.
    async fn among_others(&self, text: &str, rule: &Rule, replaces: Option<&str>) -> Vec<Diagnostic> {
        let Ok(candidate) = self.set_with(text, replaces).await else { return Vec::new() };
        let Ok(loaded) = self.load_given(candidate).await else { return Vec::new() };
        let about = loaded.warnings.into_iter().filter(|warning| warning.rule.as_deref() == Some(&*rule.id));
        let alone = self.load_given(vec![edit::alone(text)]).await.map(|loaded| loaded.warnings);
        let alone = alone.unwrap_or_default();
        about
            .filter(|warning| !alone.iter().any(|known| known.message == warning.message))
            .map(|warning| Diagnostic { line: 0, column: 0, source_line: None, ..warning })
            .collect()
    }

    /// The files of the set in force with a draft in the place of a rule, or at the end.
    ///
    /// # Errors
    /// `Diagnostics`: the draft has errors; `RuleExists`, `UnknownRule`, `Store`.
    pub async fn set_with(&self, text: &str, replaces: Option<&str>) -> Result<Vec<SourceFile>, ApplyError> {
        let (_, set) = self.export().await?;
        let (_, rule) = self.read_alone(text).await?;
        let stored = self.load(vec![stored_file(set.clone())]).await?;
        let change = match replaces {
            Some(id) => edit::Edit::Replace(id.to_owned(), rule),
            None => edit::Edit::Add(rule),
        };
        let options = self.load_options();
        let candidate = blocking(move || {
            edit::apply(&set, &stored.rules, &change, &options).map(|candidate| candidate.text)
        });
        Ok(vec![stored_file(candidate.await?)])
    }

    /// The same as if the draft were enforced, for a rehearsal.
    ///
    /// # Errors
    /// As [`Self::set_with`].
    pub async fn rehearsed(&self, text: &str, replaces: Option<&str>) -> Result<Vec<SourceFile>, ApplyError> {
        let enforced = self.with_mode(text, Mode::Enforce).await?;
        self.set_with(&enforced, replaces).await
    }

    /// Saves a draft with a mode. `replaces` is the version of the rule that it was made from; nothing for a new one.
    ///
    /// # Errors
    /// See [`ApplyError`]; nothing was changed.
    pub async fn save(
        &self,
        text: &str,
        mode: Option<Mode>,
        replaces: Option<(&str, &str)>,
        author: &str,
    ) -> Result<Saved, ApplyError> {
        let text = match mode {
            Some(mode) => self.with_mode(text, mode).await?,
            None => text.to_owned(),
        };
        loop {
            let (epoch, _) = self.export().await?;
            let applied = match replaces {
                Some((id, version)) => {
                    match self.text_of(id).await {
                        Ok(now) if now.version != version => return Ok(Saved::Overtaken(Some(now))),
                        Ok(_) => self.put(id, &text, author, Some(epoch)).await,
                        // Whoever saves has been told that it is gone.
                        Err(ApplyError::UnknownRule(_)) if version.is_empty() => {
                            self.restore(id, &text, author, epoch).await
                        }
                        Err(ApplyError::UnknownRule(_)) => return Ok(Saved::Overtaken(None)),
                        Err(other) => return Err(other),
                    }
                }
                None => match self.add(&text, author, Some(epoch)).await {
                    Err(ApplyError::RuleExists(id)) => {
                        return Ok(Saved::Overtaken(Some(self.text_of(&id).await?)));
                    }
                    other => other.map(|(_, applied)| applied),
                },
            };
            match applied {
                // The set has changed meanwhile: whether this rule has is looked at again.
                Err(ApplyError::Conflict { current, .. }) if current != epoch => {}
                done => return done.map(Saved::Done),
            }
        }
    }

    /// Adds a rule again that somebody has deleted while it was edited.
    async fn restore(&self, id: &str, text: &str, author: &str, epoch: u64) -> Result<Applied, ApplyError> {
        let (other, _) = self.read_alone(text).await?;
        if other != id {
            return Err(ApplyError::Diagnostics(vec![edit::other_id(id, other)]));
        }
        self.add(text, author, Some(epoch)).await.map(|(_, applied)| applied)
    }

    /// The text of a rule with another mode, and with nothing else changed.
    async fn with_mode(&self, text: &str, mode: Mode) -> Result<String, ApplyError> {
        let mut json = self.read_alone(text).await?.1.json;
        if json.get("mode").and_then(Value::as_str).unwrap_or(Mode::Enforce.as_str()) == mode.as_str() {
            return Ok(text.to_owned());
        }
        if let Some(members) = json.as_object_mut() {
            members.remove("mode");
            if mode != Mode::Enforce {
                members.insert("mode".to_owned(), json!(mode.as_str()));
            }
        }
        let changed = edit::with_mode(text, mode.as_str());
        if self.reads_as(&changed, &json).await { Ok(changed) } else { Ok(edit::written(&json)) }
    }

    async fn reads_as(&self, text: &str, wanted: &Value) -> bool {
        self.read_alone(text).await.is_ok_and(|(_, rule)| rule.json == *wanted)
    }
}

/// The examples of a rule. What fails is known from the diagnostics: one place runs examples.
fn examples(text: &str, rule: Option<&Rule>, diagnostics: &[Diagnostic]) -> Vec<Example> {
    let only_examples = diagnostics.iter().filter(|d| d.is_error()).all(|d| example_of(&d.path).is_some());
    let given: Value = match rule {
        Some(rule) => edit::to_json(rule),
        None => weir_rules::rule::keys_and_values(&edit::alone(text).text).unwrap_or_default(),
    };
    let given = given.get("rules").and_then(|rules| rules.get(0)).unwrap_or(&given);
    let mut examples = Vec::new();
    for kind in ["match", "no_match"] {
        let listed = given.get(kind).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (at, facts) in listed.iter().take(EXAMPLES_MAX).enumerate() {
            let fault = diagnostics.iter().find(|d| d.is_error() && example_of(&d.path) == Some((kind, at)));
            examples.push(Example {
                kind,
                number: at + 1,
                facts: facts.to_string(),
                holds: only_examples.then_some(fault.is_none()),
                message: fault.map(|fault| fault.message.clone()),
            });
        }
    }
    examples
}

/// The example that a path such as `match[2].request` leads into.
fn example_of(path: &str) -> Option<(&'static str, usize)> {
    let (kind, rest) =
        ["no_match", "match"].into_iter().find_map(|kind| Some((kind, path.strip_prefix(kind)?)))?;
    let number = rest.strip_prefix('[')?.split(']').next()?;
    Some((kind, number.parse().ok()?))
}
