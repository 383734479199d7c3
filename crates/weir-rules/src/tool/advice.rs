//! What a denial advises. Before a change is advised, the same call is judged with that change: what would not let it
//! through is not said (issue: workarounds are true).

use std::sync::LazyLock;

use serde_json::{Map, Value as Json};
use weir_core::tool::{DenialKind, PermissionLevel, QUOTED_CHARS_MAX, cleaned, quoted};

use super::judge::{Judge, Judgement, Said};
use super::{OtherTool, Outside};
use crate::facts::{Fact, Facts};
use crate::rule::Rule;

/// Other tools that a denial names at most.
const ALTERNATIVES_MAX: usize = 3;

/// Other tools that are judged at most, the likeliest first.
const CANDIDATES_MAX: usize = 32;

static NO_ARGUMENTS: LazyLock<Json> = LazyLock::new(|| Json::Object(Map::new()));

/// The words of a denial that depend on what would be allowed.
pub(super) struct Advice {
    pub(super) reason: String,
    pub(super) workaround: String,
    pub(super) alternatives: Vec<String>,
    pub(super) change: Option<Change>,
}

/// Another ceiling of the channel, and what the same call comes to with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    ceiling: PermissionLevel,
    /// Whether an operator has set the ceiling that is in force: then it is changed where it was set.
    is_set: bool,
    /// The rule that then still asks for an approval.
    approval: Option<String>,
}

/// The advice for a denied call. The facts are as they were judged; afterwards they are so again.
pub(super) fn of<'f>(
    judge: &Judge<'_, 'f>,
    facts: &mut Facts<'f>,
    floor: PermissionLevel,
    judgement: &Judgement,
) -> Advice {
    let adviser = Adviser { judge, floor, judgement };
    let Some(kind) = judgement.said.denial() else { return Advice::none() };
    match kind {
        DenialKind::UnknownTool | DenialKind::NotVisible => adviser.for_missing_tool(facts, kind),
        DenialKind::SessionForbidden | DenialKind::PermissionTooLow => adviser.for_ceiling(facts, kind),
        DenialKind::RuleDenied | DenialKind::EvaluationError => adviser.for_rule(facts, kind),
        DenialKind::ApprovalRequired => adviser.for_approval(),
        DenialKind::PolicyDenied | DenialKind::ApprovalDenied | DenialKind::ApprovalExpired => Advice::none(),
    }
}

impl Advice {
    const fn none() -> Self {
        Self { reason: String::new(), workaround: String::new(), alternatives: Vec::new(), change: None }
    }
}

struct Adviser<'a, 'j, 'f> {
    judge: &'a Judge<'j, 'f>,
    floor: PermissionLevel,
    judgement: &'a Judgement,
}

impl<'f> Adviser<'_, '_, 'f> {
    fn for_missing_tool(&self, facts: &mut Facts<'f>, kind: DenialKind) -> Advice {
        let alternatives = self.alternatives(facts, false);
        let reason = if kind == DenialKind::UnknownTool {
            "this agent has no tool of this name"
        } else {
            "this session's set of tools does not have it"
        };
        let workaround = match named(&alternatives) {
            Some(names) => format!("call one of the tools that this agent may use, such as {names}"),
            None => "do it without this tool, or ask the user".to_owned(),
        };
        Advice { reason: reason.to_owned(), workaround, alternatives, change: None }
    }

    fn for_ceiling(&self, facts: &mut Facts<'f>, kind: DenialKind) -> Advice {
        let channel = facts.str(Fact::ChannelName).to_owned();
        if self.judge.scene.changed && kind == DenialKind::SessionForbidden {
            return self.for_changed(facts);
        }
        if let Some(outside) = self.judge.scene.outside {
            return self.for_outside(facts, kind, outside);
        }
        let Judgement { level, tool_level, ceiling, .. } = *self.judgement;
        let reason = if kind == DenialKind::SessionForbidden {
            let channel = quoted(&channel);
            format!("it requires {tool_level} permission, but channel {channel} only grants {ceiling}")
        } else {
            let raised = self.rule().map(|rule| match &rule.because {
                Some(because) => {
                    format!(" (rule {}: {})", quoted(&rule.id), cleaned(because, QUOTED_CHARS_MAX))
                }
                None => format!(" (rule {})", quoted(&rule.id)),
            });
            let raised = raised.unwrap_or_default();
            let channel = quoted(&channel);
            format!("this call needs {level} permission, but channel {channel} only grants {ceiling}{raised}")
        };
        let change = self.change(facts);
        let alternatives = self.alternatives(facts, true);
        let mut workaround = match &change {
            Some(change) => change.words(&channel, ceiling),
            None => format!("no setting of channel {} would allow this call", quoted(&channel)),
        };
        if let Some(names) = named(&alternatives) {
            workaround.push_str(&format!("; or use a tool that this channel permits, such as {names}"));
        } else if ceiling == PermissionLevel::None {
            workaround.push_str("; until then no tool is available on this channel");
        }
        Advice { reason, workaround, alternatives, change }
    }

    /// A tool whose definition is not the accepted one is `dangerous`, whatever its level would be.
    fn for_changed(&self, facts: &mut Facts<'f>) -> Advice {
        let alternatives = self.alternatives(facts, true);
        let reason = "its definition has changed since it was accepted, so it counts as dangerous until an operator \
                      accepts it";
        let mut workaround =
            "have an operator look at the new definition and accept it, on the page Tools of weir's \
                              console or with `POST /api/tools/accept`"
                .to_owned();
        if let Some(names) = named(&alternatives) {
            workaround.push_str(&format!("; or use a tool that this channel permits, such as {names}"));
        }
        Advice { reason: reason.to_owned(), workaround, alternatives, change: None }
    }

    /// A path outside the allowed roots. A higher ceiling is advised only where the tool would follow the path then.
    fn for_outside(&self, facts: &mut Facts<'f>, kind: DenialKind, outside: Outside<'_>) -> Advice {
        let channel = facts.str(Fact::ChannelName).to_owned();
        let Judgement { level, tool_level, ceiling, .. } = *self.judgement;
        let needed = if kind == DenialKind::SessionForbidden { tool_level } else { level };
        let own = if outside.opened.is_none() { " (it is weir's own, or leads nowhere)" } else { "" };
        let reason = format!(
            "path {} lies outside the allowed roots, which `tools.allowed_roots` sets{own}: it needs {needed} \
             permission, but channel {} only grants {ceiling}",
            quoted(outside.path),
            quoted(&channel)
        );
        let mut ways = Vec::new();
        if kind == DenialKind::PermissionTooLow {
            ways.push("name a path within the allowed roots".to_owned());
        }
        let mut change = None;
        if let Some(opened) = outside.opened {
            let add = "add the folder that holds the path to `tools.allowed_roots` in weir's configuration";
            let needs = self.change_from(facts, opened, true);
            if let Some(needs) = &needs {
                let more = needs.words(&channel, ceiling);
                ways.push(if more.is_empty() { add.to_owned() } else { format!("{add}, and {more}") });
            }
            change = needs;
        }
        if !outside.closed
            && let Some(raised) = self.change(facts)
        {
            ways.push(raised.words(&channel, ceiling));
            change = Some(raised);
        }
        if ways.is_empty() {
            ways.push(
                "no setting would allow this call: do it with a path within the allowed roots".to_owned(),
            );
        }
        Advice { reason, workaround: ways.join("; or "), alternatives: Vec::new(), change }
    }

    fn for_rule(&self, facts: &mut Facts<'f>, kind: DenialKind) -> Advice {
        let rule = self.rule();
        let name = rule.map(|rule| quoted(&rule.id)).unwrap_or_default();
        let text = |text: &Option<Box<str>>| text.as_deref().map(|text| cleaned(text, QUOTED_CHARS_MAX));
        let reason = if kind == DenialKind::RuleDenied {
            rule.and_then(|rule| text(&rule.because)).unwrap_or_else(|| "the rule gives no reason".to_owned())
        } else {
            format!("rule {name} could not be evaluated: {}", self.error())
        };
        let noted = rule.and_then(|rule| text(&rule.instead)).filter(|note| !note.is_empty());
        let change = if noted.is_none() { self.change(facts) } else { None };
        let workaround = match (noted, &change) {
            (Some(note), _) => format!("the operator's note: {note}"),
            (None, Some(change)) => change.words(facts.str(Fact::ChannelName), self.judgement.ceiling),
            (None, None) if kind == DenialKind::RuleDenied => {
                format!(
                    "no setting of the channel would allow this call; ask who runs weir about rule {name}"
                )
            }
            (None, None) => format!(
                "call it with the arguments that the rule reads, or ask who runs weir to mend rule {name}"
            ),
        };
        Advice { reason, workaround, alternatives: Vec::new(), change }
    }

    fn for_approval(&self) -> Advice {
        let rule = self.rule();
        let text = |text: Option<&Box<str>>| text.map(|text| cleaned(text, QUOTED_CHARS_MAX));
        let reason = text(rule.and_then(|rule| rule.because.as_ref()));
        let mut workaround =
            "ask the user to have someone approve this action, then retry exactly the same call, or \
                              use an alternative"
                .to_owned();
        if let Some(note) = text(rule.and_then(|rule| rule.instead.as_ref())) {
            workaround.push_str(&format!("; the operator's note: {note}"));
        }
        let reason = reason.unwrap_or_else(|| "a person must agree to this call".to_owned());
        Advice { reason, workaround, alternatives: Vec::new(), change: None }
    }

    fn rule(&self) -> Option<&Rule> {
        self.judge.rules.rules().get(self.judgement.said.rule()?)
    }

    fn error(&self) -> String {
        let at = self.judgement.said.rule();
        let error = self.judgement.evaluation.errored.iter().find(|(errored, _)| Some(*errored) == at);
        error.map(|(_, error)| cleaned(&error.0, QUOTED_CHARS_MAX)).unwrap_or_default()
    }

    /// The ceiling of this channel that would let the call through: the nearest above the present one, else the nearest
    /// below; one that needs an approval besides only if none goes without.
    fn change(&self, facts: &mut Facts<'f>) -> Option<Change> {
        self.change_from(facts, self.floor, false)
    }

    /// As [`Self::change`], where the arguments are of another level; `stays`: the present ceiling may do.
    fn change_from(&self, facts: &mut Facts<'f>, floor: PermissionLevel, stays: bool) -> Option<Change> {
        if facts.str(Fact::ChannelName).is_empty() {
            return None;
        }
        let now = self.judgement.ceiling;
        let is_set = self.judge.scene.ceiling_is_set;
        let (above, below): (Vec<_>, Vec<_>) = PermissionLevel::ALL
            .into_iter()
            .filter(|level| stays || *level != now)
            .partition(|level| *level >= now);
        let mut held = None;
        for ceiling in above.into_iter().chain(below.into_iter().rev()) {
            match self.with_ceiling(facts, ceiling, floor) {
                Said::Allow(_) => return Some(Change { ceiling, is_set, approval: None }),
                Said::Ask(rules) if held.is_none() => {
                    let rule = rules.first().and_then(|at| self.judge.rules.rules().get(*at));
                    held = Some(Change { ceiling, is_set, approval: rule.map(|rule| rule.id.to_string()) });
                }
                _ => {}
            }
        }
        held
    }

    fn with_ceiling(&self, facts: &mut Facts<'f>, ceiling: PermissionLevel, floor: PermissionLevel) -> Said {
        facts.set_str(Fact::ChannelCeiling, ceiling.token());
        facts.set_str(Fact::CallLevel, floor.token());
        let said = self.judge.judge(facts, floor).said;
        self.restore(facts);
        said
    }

    fn restore(&self, facts: &mut Facts<'f>) {
        facts.set_str(Fact::ChannelCeiling, self.judgement.ceiling.token());
        facts.set_str(Fact::ToolLevel, self.judgement.tool_level.token());
        facts.set_str(Fact::CallLevel, self.judgement.level.token());
    }

    /// The other tools that this caller may call here, the nearest by name first. `within_ceiling` spares those that the
    /// ceiling forbids the work.
    fn alternatives(&self, facts: &mut Facts<'f>, within_ceiling: bool) -> Vec<String> {
        let asked = facts.str(Fact::ToolName).to_owned();
        let server = facts.str(Fact::ToolServer).to_owned();
        let ceiling = self.judgement.ceiling;
        let mut others: Vec<(f64, &OtherTool<'f>)> = self
            .judge
            .scene
            .others
            .iter()
            .filter(|other| other.name != asked || other.server != server)
            .filter(|other| !within_ceiling || other.level <= ceiling)
            .map(|other| (likeness(&asked, other.name), other))
            .collect();
        others.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.name.cmp(b.1.name)));
        let saved = Saved::of(facts);
        let mut found = Vec::new();
        for (_, other) in others.into_iter().take(CANDIDATES_MAX) {
            if found.len() < ALTERNATIVES_MAX && self.is_allowed(facts, other) {
                found.push(cleaned(other.name, QUOTED_CHARS_MAX));
            }
        }
        saved.put_back(facts);
        self.restore(facts);
        found
    }

    fn is_allowed(&self, facts: &mut Facts<'f>, other: &OtherTool<'f>) -> bool {
        facts.set_str(Fact::ToolName, other.name);
        facts.set_str(Fact::ToolServer, other.server);
        facts.set_str(Fact::ToolLevel, other.level.token());
        facts.set_dynamic(Fact::ToolAnnotations, other.annotations);
        facts.set_dynamic(Fact::CallArgs, &NO_ARGUMENTS);
        facts.set_str(Fact::ChannelCeiling, self.judgement.ceiling.token());
        let judged = self.judge.judge_tool(facts, PermissionLevel::None, true, true);
        matches!(judged.said, Said::Allow(_))
    }
}

/// The facts of the tool that was asked for.
struct Saved<'f> {
    name: &'f str,
    server: &'f str,
    annotations: &'f Json,
    args: &'f Json,
}

impl<'f> Saved<'f> {
    fn of(facts: &Facts<'f>) -> Self {
        Self {
            name: facts.borrowed_str(Fact::ToolName),
            server: facts.borrowed_str(Fact::ToolServer),
            annotations: facts.borrowed_json(Fact::ToolAnnotations),
            args: facts.borrowed_json(Fact::CallArgs),
        }
    }

    fn put_back(&self, facts: &mut Facts<'f>) {
        facts.set_str(Fact::ToolName, self.name);
        facts.set_str(Fact::ToolServer, self.server);
        facts.set_dynamic(Fact::ToolAnnotations, self.annotations);
        facts.set_dynamic(Fact::CallArgs, self.args);
    }
}

impl Change {
    /// Nothing, where the ceiling stays as it is `now` and nobody is asked.
    fn words(&self, channel: &str, now: PermissionLevel) -> String {
        let levels: Vec<String> =
            PermissionLevel::ALL.iter().map(|level| format!("`{}`", level.token())).collect();
        if self.ceiling == now {
            let asks =
                |rule: &String| format!("have the call approved, which rule {} asks for", quoted(rule));
            return self.approval.as_ref().map(asks).unwrap_or_default();
        }
        let mut words = if self.is_set {
            let (channel, ceiling) = (quoted(channel), self.ceiling.token());
            format!(
                "an operator has set the ceiling of channel {channel}: set it to `{ceiling}` on the page Tools of weir's console"
            )
        } else {
            format!(
                "set `tools.channel_permissions.{}` to `{}` in weir's configuration (the levels are {})",
                key(channel),
                self.ceiling.token(),
                levels.join(", ")
            )
        };
        if let Some(rule) = &self.approval {
            words.push_str(&format!(", and have the call approved, which rule {} asks for", quoted(rule)));
        }
        words
    }
}

/// A key of the configuration: as it is if it is plain, else quoted.
fn key(channel: &str) -> String {
    let plain = channel.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if plain { channel.to_owned() } else { quoted(channel) }
}

fn named(names: &[String]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    (!quoted.is_empty()).then(|| quoted.join(", "))
}

fn likeness(asked: &str, name: &str) -> f64 {
    let plain = |text: &str| -> String {
        text.chars().take(100).flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
    };
    strsim::jaro_winkler(&plain(asked), &plain(name))
}
