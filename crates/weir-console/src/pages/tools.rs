//! Levels of tools and ceilings of channels with the layer that decides each, definitions that have changed, and the
//! rules that stand above them.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use weir_config::config::Role;
use weir_core::Boundary;
use weir_core::tool::{Layer, PermissionLevel};
use weir_rules::{Rule, Then};
use weir_store::database::{Override, OverrideKind};

use super::form::{self, CSRF_FIELD};
use super::parts::{Tone, badge, empty, panel, table, time};
use super::{Form, Page, Section, Visit};
use crate::console::Console;
use crate::overrides::{ListedCeiling, ListedTool};
use crate::problem::Problem;

const HERE: &str = "/tools";

pub(super) async fn show(State(console): State<Console>, visit: Visit) -> Result<Page, Problem> {
    let (tools, ceilings) = (console.tools().await?, console.ceilings().await?);
    let active = console.parts.rulebook.current().await?;
    let rules: Vec<&Rule> = active.rules.rules().iter().filter(|rule| rule.on == Boundary::Tool).collect();
    let content = html! {
        p .quiet { "A call runs when its level is within the ceiling of its channel. What is set here lies in the store above
            the configuration, counts on every node within a second, and can be taken back." }
        (drifted(&visit, &tools))
        (panel("Ceilings of channels", &ceilings_table(&visit, &ceilings)))
        (panel("Levels of tools", &levels_table(&visit, &tools)))
        (panel("Rules for tools", &rules_table(&rules)))
    };
    Ok(Page::new(&visit, Section::Tools, "Tools", &content))
}

fn level_badge(level: PermissionLevel) -> Markup {
    let tone = match level {
        PermissionLevel::None | PermissionLevel::ReadOnly => Tone::Good,
        PermissionLevel::Write => Tone::Info,
        PermissionLevel::Execute => Tone::Warn,
        PermissionLevel::Dangerous => Tone::Bad,
    };
    badge(tone, level.token())
}

/// Definitions that are not the accepted ones.
fn drifted(visit: &Visit, tools: &[ListedTool]) -> Markup {
    let changed: Vec<&ListedTool> = tools.iter().filter(|tool| tool.changed).collect();
    if changed.is_empty() {
        return html! {};
    }
    let rows = changed.iter().map(|tool| {
        let known = tool.definition.as_ref();
        let (server, name) = (&tool.standing.server, &tool.standing.name);
        vec![
            html! { strong { (name) } },
            html! { (server) },
            html! { @if let Some(at) = known.and_then(|known| known.changed_at) { (time(at, visit.now)) } },
            html! { @if tool.standing.description.is_empty() { span .quiet { "not listed to this node yet" } } @else { (tool.standing.description) } },
            html! { @if visit.may(Role::Operator) {
                (form::form(visit, "/tools/accept", &html! {
                    input type="hidden" name="server" value=(server);
                    input type="hidden" name="name" value=(name);
                    button { "Accept " span .hidden { (name) } }
                }))
            } },
        ]
    });
    panel(
        "Changed definitions",
        &html! {
            p { "These servers describe a tool otherwise than before. Each is dangerous until somebody has read and accepted it." }
            (table("Changed definitions", &["Tool", "Server", "Changed", "It says now", "Accept"], rows))
        },
    )
}

/// What decides, in words.
fn layer(layer: Layer) -> Markup {
    let (word, why) = match layer {
        Layer::Default => ("default", "nobody has said anything"),
        Layer::BuiltIn => ("built in", "weir knows this tool"),
        Layer::Configuration => ("configuration", "the file of the configuration says so"),
        Layer::Override => ("set here", "an operator has set it, above the configuration"),
        Layer::Annotation => ("annotation", "the tool's own annotations raise it"),
        Layer::Drift => ("changed definition", "its definition is not the accepted one"),
    };
    html! { span title=(why) { (word) } }
}

/// The layers below the one that decides, and who set what.
fn layers(visit: &Visit, said: &[(&str, Option<PermissionLevel>)], set: Option<&Override>) -> Markup {
    html! {
        @for (who, level) in said {
            @if let Some(level) = level { div { span .quiet { (who) ": " } (level.token()) } }
        }
        @if let Some(set) = set {
            div { span .quiet { "set: " } (set.level.token()) span .quiet { " by " (set.by) ", " (time(set.at, visit.now)) } }
        }
    }
}

/// A choice of levels with its buttons. `about` says what is set, for those who cannot see the row.
fn change(visit: &Visit, path: &str, field: &str, name: &str, now: PermissionLevel, is_set: bool) -> Markup {
    if !visit.may(Role::Operator) {
        return html! {};
    }
    html! {
        form .inline method="post" action=(path) {
            input type="hidden" name=(CSRF_FIELD) value=(visit.csrf);
            input type="hidden" name=(field) value=(name);
            select name="level" aria-label={ "Level of " (name) } {
                @for level in PermissionLevel::ALL { option selected[level == now] { (level.token()) } }
            }
            button name="do" value="set" { "Set" span .hidden { " the level of " (name) } }
            @if is_set {
                button .plain name="do" value="reset" { "Take back" span .hidden { " what was set for " (name) } }
            }
        }
    }
}

fn ceilings_table(visit: &Visit, ceilings: &[ListedCeiling]) -> Markup {
    let rows = ceilings.iter().map(|listed| {
        let standing = &listed.standing;
        let name = standing.channel.as_deref();
        vec![
            html! { @match name { Some(name) => strong { (name) }, None => span .quiet { "any other channel" } } },
            level_badge(standing.ceiling),
            layer(standing.layer),
            layers(visit, &[("configuration", standing.configured)], listed.set.as_ref()),
            html! { @if let Some(name) = name {
                (change(visit, "/tools/ceilings", "channel", name, standing.ceiling, standing.overridden.is_some()))
            } },
        ]
    });
    html! {
        (table("Ceilings of channels", &["Channel", "Ceiling", "Decided by", "Layers", "Change"], rows))
        @if visit.may(Role::Operator) {
            details {
                summary { "Set the ceiling of another channel" }
                (form::form(visit, "/tools/ceilings", &html! {
                    (form::Field::new("channel", "Channel").required().help("Such as web, cli, cron or mcp.").render())
                    (level_field())
                    p .buttons { button .main name="do" value="set" { "Set the ceiling" } }
                }))
            }
        }
    }
}

fn level_field() -> Markup {
    let choices: Vec<(&str, &str)> =
        PermissionLevel::ALL.iter().map(|level| (level.token(), level.token())).collect();
    form::Field::new("level", "Level").kind(form::Kind::Choice(&choices)).value("read_only").render()
}

fn levels_table(visit: &Visit, tools: &[ListedTool]) -> Markup {
    if tools.is_empty() {
        return empty(
            "No tool is known yet.",
            &html! { p { "Name a tool server under " code { "tools.mcp_servers" } " in the configuration and call it at "
            code { "/mcp/NAME" } ", or give a level to a tool under " code { "tools.levels" } "." } },
        );
    }
    let rows = tools.iter().map(|listed| {
        let standing = &listed.standing;
        let said = [
            ("built in", standing.built_in),
            ("configuration", standing.configured),
            ("annotations", standing.annotated),
        ];
        vec![
            html! {
                strong { (standing.name) }
                @if !standing.description.is_empty() { div .quiet { (standing.description) } }
                @if !standing.listed && !standing.server.is_empty() { div .quiet { "not listed to this node since it started" } }
            },
            html! { (standing.server) },
            level_badge(standing.level),
            layer(standing.layer),
            layers(visit, &said, listed.set.as_ref()),
            change(visit, "/tools/levels", "name", &standing.name, standing.level, standing.overridden.is_some()),
        ]
    });
    html! {
        (table("Levels of tools", &["Tool", "Server", "Level", "Decided by", "Layers", "Change"], rows))
        p .help { "A level holds for every tool of that name. Annotations of a tool raise its level and never lower it." }
    }
}

/// Rules decide above levels and ceilings, call by call.
fn rules_table(rules: &[&Rule]) -> Markup {
    if rules.is_empty() {
        return empty(
            "No rule reads tool calls.",
            &html! { p { a href="/rules/new?on=tool" { "Write one" } " to deny some calls, to raise their level, or to ask a person first." } },
        );
    }
    let rows = rules.iter().map(|rule| {
        let does = match rule.then {
            Then::Level(then) => html! { "raises the level to " (level_badge(then.level)) },
            _ => super::parts::outcome(rule.then.word()),
        };
        vec![
            html! { a href={ "/rules/" (rule.id) } { (rule.id) } },
            does,
            html! { (rule.mode.as_str()) },
            html! { code { (rule.when) } },
        ]
    });
    html! {
        p .quiet { "They decide call by call: they may deny, raise the level of a call or ask a person, and never lift a ceiling." }
        (table("Rules for tools", &["Rule", "Does", "Mode", "When"], rows))
    }
}

/// Sets a level or takes it back, as a form asks for.
async fn changed(console: &Console, visit: &Visit, form: &Form, kind: OverrideKind, field: &str) -> Response {
    let by = &visit.principal.name;
    let name = form.get(field).unwrap_or_default();
    let level = form.get("level").unwrap_or_default();
    let done = match form.typed("do") {
        "reset" => console
            .remove_override(kind, &name, by)
            .await
            .map(|()| format!("what was set for {name} is taken back")),
        _ => console.set_override(kind, &name, &level, by).await.map(|()| format!("{name} is {level} now")),
    };
    match done {
        Ok(text) => form::done(HERE, text),
        Err(problem) => form::failed(HERE, &problem),
    }
}

pub(super) async fn set_level(State(console): State<Console>, visit: Visit, form: Form) -> Response {
    changed(&console, &visit, &form, OverrideKind::Tool, "name").await
}

pub(super) async fn set_ceiling(State(console): State<Console>, visit: Visit, form: Form) -> Response {
    changed(&console, &visit, &form, OverrideKind::Channel, "channel").await
}

pub(super) async fn accept(State(console): State<Console>, visit: Visit, form: Form) -> Response {
    let (server, name) = (form.typed("server"), form.typed("name"));
    match crate::approvals::accept_definition(&console, server, name, &visit.principal.name).await {
        Ok(()) => form::done(HERE, format!("the definition of {name} is accepted")),
        Err(problem) => form::failed(HERE, &problem),
    }
}
