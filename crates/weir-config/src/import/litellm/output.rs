//! The result as YAML that people read.

use std::fmt::Write as _;

use super::super::Note;
use super::super::write::{comment, quoted, scalar};
use super::models::{Model, Models, Provider};
use super::settings::Settings;

/// Writes everything: first what the reader must know, then the configuration, then what it does not say.
pub(super) fn write(models: &Models, settings: &Settings, notes: &[Note], variables: &[String]) -> String {
    let mut out = String::from(
        "# weir's configuration, made from a LiteLLM configuration by `weir import litellm`.\n\
         # Check it with `weir check --config THIS-FILE`; what was not carried over is listed at the end.\n",
    );
    if !variables.is_empty() {
        line(
            &mut out,
            0,
            &comment(&format!("It reads these environment variables: {}.", variables.join(", "))),
        );
    }
    admin(&mut out, settings);
    limits(&mut out, settings);
    providers(&mut out, &models.providers);
    self::models(&mut out, &models.models);
    failures(&mut out, settings);
    tools(&mut out, settings);
    telemetry(&mut out, settings);
    if !notes.is_empty() {
        out.push_str("\n# Not carried over, or not as it was:\n");
        for note in notes {
            line(&mut out, 0, &comment(&note.to_string()));
        }
    }
    out
}

fn line(out: &mut String, indent: usize, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{:indent$}{text}", "");
}

fn admin(out: &mut String, settings: &Settings) {
    if let Some(token) = &settings.admin_token {
        out.push_str("\nadmin:\n");
        line(out, 2, &format!("token: {}", quoted(token)));
        out.push_str("\nkeys:\n");
        line(
            out,
            2,
            "# LiteLLM takes its master key from callers too: take this away when they have keys of their own.",
        );
        line(out, 2, &format!("- {{key: {}, user: admin}}", quoted(token)));
    }
    if let Some(cache) = &settings.cache {
        let _ = write!(out, "\ncache: {}\n", quoted(cache));
    }
}

fn limits(out: &mut String, settings: &Settings) {
    if settings.body_bytes_max.is_none() && settings.timeout_s.is_none() {
        return;
    }
    out.push_str("\nlimits:\n");
    if let Some(bytes) = settings.body_bytes_max {
        line(out, 2, &format!("body_bytes_max: {bytes}"));
    }
    if let Some(seconds) = settings.timeout_s {
        let ms = (seconds * 1000.0).clamp(1.0, 86_400_000.0).round();
        line(out, 2, &format!("upstream: {{first_byte: {ms}ms, idle: {ms}ms}}"));
    }
}

fn providers(out: &mut String, providers: &[Provider]) {
    if providers.is_empty() {
        return;
    }
    out.push_str("\nproviders:\n");
    for provider in providers {
        line(out, 2, &format!("- name: {}", scalar(&provider.name)));
        line(out, 4, &format!("base_url: {}", quoted(&provider.base_url)));
        line(out, 4, &format!("apis: [{}]", provider.apis.join(", ")));
        if provider.auth != "bearer" {
            line(out, 4, &format!("auth: {}", provider.auth));
        }
        match provider.keys.as_slice() {
            [] => {}
            [key] => line(out, 4, &format!("api_key: {}", quoted(key))),
            keys => {
                let keys: Vec<String> = keys.iter().map(|key| quoted(key)).collect();
                line(out, 4, &format!("api_keys: [{}]", keys.join(", ")));
            }
        }
    }
}

fn models(out: &mut String, models: &[Model]) {
    if models.is_empty() {
        return;
    }
    out.push_str("\nmodels:\n");
    for model in models {
        line(out, 2, &format!("- id: {}", scalar(&model.id)));
        line(out, 4, &format!("provider: {}", scalar(&model.provider)));
        if let Some(upstream) = &model.upstream {
            line(out, 4, &format!("upstream_model: {}", scalar(upstream)));
        }
        if let Some(window) = model.context_window {
            line(out, 4, &format!("context_window: {window}"));
        }
        if let Some((input, output)) = model.price {
            line(out, 4, &format!("price: {{input: {input}, output: {output}}}"));
        }
        if !model.fallbacks.is_empty() {
            let names: Vec<String> = model.fallbacks.iter().map(|name| scalar(name)).collect();
            line(out, 4, &format!("fallbacks: [{}]", names.join(", ")));
        }
    }
}

fn failures(out: &mut String, settings: &Settings) {
    if settings.attempts.is_none() && settings.sentry.is_none() {
        return;
    }
    out.push_str("\nfailures:\n");
    if let Some(attempts) = settings.attempts {
        line(out, 2, &format!("retries: {{attempts: {attempts}}}  # tries of one model, the first included"));
    }
    if let Some(sentry) = &settings.sentry {
        line(out, 2, &format!("sentry_dsn: {}", quoted(sentry)));
    }
}

fn tools(out: &mut String, settings: &Settings) {
    if settings.mcp_servers.is_empty() {
        return;
    }
    out.push_str("\ntools:\n  mcp_servers:\n");
    for server in &settings.mcp_servers {
        line(out, 4, &format!("- name: {}", scalar(&server.name)));
        match &server.url {
            Some(url) => line(out, 6, &format!("url: {}", scalar(url))),
            None => {
                let command: Vec<String> = server.command.iter().map(|word| scalar(word)).collect();
                line(out, 6, &format!("command: [{}]", command.join(", ")));
            }
        }
    }
}

fn telemetry(out: &mut String, settings: &Settings) {
    if settings.otlp.is_none() && !settings.json_logs && !settings.debug {
        return;
    }
    out.push_str("\ntelemetry:\n");
    if settings.debug {
        line(out, 2, "log: debug");
    }
    if settings.json_logs {
        line(out, 2, "log_format: json");
    }
    if let Some(endpoint) = &settings.otlp {
        line(out, 2, &format!("otlp_endpoint: {}", quoted(endpoint)));
    }
}
