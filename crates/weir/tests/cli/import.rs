//! `weir import litellm`: a corpus of LiteLLM configurations, each imported, checked and looked through.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::{Folder, Run};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/litellm")
}

fn text_of(name: &str) -> String {
    std::fs::read_to_string(corpus().join(name)).unwrap()
}

/// Imports a file of the corpus into `weir.yaml` of a folder.
fn imported(name: &str) -> (Folder, Run) {
    let folder = Folder::new();
    let file = corpus().join(name);
    let run = folder.run(&["import", "litellm", file.to_str().unwrap(), "--output", "weir.yaml"]);
    (folder, run)
}

/// What the result says that it reads, with values that fit: an address where one is put.
fn environment(text: &str) -> Vec<(String, String)> {
    let names: BTreeSet<&str> =
        text.split("${").skip(1).map(|rest| rest.split(['}', ':']).next().unwrap()).collect();
    let value = |name: &str| {
        if name.contains("BASE_URL") || name.contains("DSN") || name.contains("ENDPOINT") {
            "http://127.0.0.1:9/v1".to_owned()
        } else {
            format!("value-of-{name}")
        }
    };
    let optional = |name: &&&str| !text.contains(&format!("${{{name}:-")) || name.contains("ENDPOINT");
    names.iter().filter(optional).map(|name| ((*name).to_owned(), value(name))).collect()
}

#[test]
fn whatever_is_imported_can_be_checked_and_holds_no_literal_secret() {
    let mut seen = 0;
    for name in
        ["small.yaml", "balanced.yaml", "wildcards.yaml", "own-servers.yaml", "included.yaml", "empty.yaml"]
    {
        let (folder, run) = imported(name);
        assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{name}: {run:#?}");
        let text = std::fs::read_to_string(folder.path().join("weir.yaml")).unwrap();
        assert!(
            !text.contains("literal") && !run.stderr.contains("literal"),
            "{name}:\n{text}\n{}",
            run.stderr
        );
        assert!(!text.contains("hunter2"), "{name}:\n{text}");
        let mut check = folder.command(&["check"]);
        check.envs(environment(&text));
        let check = Run::new(check.output().unwrap());
        assert_eq!(check.code, 0, "{name}:\n{text}\n{check:#?}");
        // Everything that is told on stderr stands in the file too.
        for line in run.stderr.lines().filter(|line| line.contains(".yaml:")) {
            assert!(text.contains(line), "`{line}` is not in\n{text}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} notes");
}

#[test]
fn deployments_become_pools_and_fallbacks() {
    let (folder, run) = imported("balanced.yaml");
    let text = std::fs::read_to_string(folder.path().join("weir.yaml")).unwrap();
    for said in [
        "- name: openai\n    base_url: https://api.openai.com/v1\n    apis: [chat_completions, responses, embeddings]\n    api_keys: [\"${OPENAI_API_KEY}\", \"${OPENAI_API_KEY_2}\"]\n",
        "- id: gpt-4o\n    provider: openai\n    context_window: 128000\n    price: {input: 2.5, output: 10}\n    fallbacks: [gpt-4o/deployment-2, fast]\n",
        "- id: gpt-4o/deployment-2\n    provider: openrouter\n    upstream_model: openai/gpt-4o\n",
        "- id: fast\n    provider: deepseek\n    upstream_model: deepseek-chat\n    fallbacks: [fast/deployment-2, gpt-4o]\n",
        "- id: fast/deployment-2\n    provider: groq\n    upstream_model: llama-3.3-70b-versatile\n",
        "- id: smart\n    provider: openai\n    upstream_model: gpt-4o\n    context_window: 128000\n    price: {input: 2.5, output: 10}\n    fallbacks: [gpt-4o/deployment-2, fast]\n",
        "cache: \"redis://:${REDIS_PASSWORD}@cache.internal:6380\"\n",
        "retries: {attempts: 4}",
        "sentry_dsn: \"${SENTRY_DSN:-}\"",
        "upstream: {first_byte: 30000ms, idle: 30000ms}",
        "body_bytes_max: 20971520",
    ] {
        assert!(text.contains(said), "`{said}` is not in\n{text}");
    }
    for (line, told) in [
        (7, "model_list[0].litellm_params.rpm: not carried over"),
        (14, "model_list[2].litellm_params.model: not carried over: Azure"),
        (26, "model_list[7].model_info.mode: not carried over"),
        (28, "router_settings.routing_strategy: not carried over"),
        (
            34,
            "router_settings.redis_password: the password itself is not written: set ${REDIS_PASSWORD} to it, with escapes",
        ),
        (35, "router_settings.model_group_alias.lost: not carried over"),
        (36, "router_settings.fallbacks[1].fast: a fallback is left out"),
        (39, "litellm_settings.content_policy_fallbacks: not carried over"),
        (40, "litellm_settings.drop_params: not carried over"),
        (43, "litellm_settings.success_callback: not carried over: weir tells"),
        (49, "general_settings.database_url: not carried over: LiteLLM's tables"),
    ] {
        assert!(
            run.stderr.contains(&format!("balanced.yaml:{line}: {told}")),
            "{line}: {told}\n{}",
            run.stderr
        );
    }
}

#[test]
fn wildcards_and_own_servers() {
    let (folder, run) = imported("wildcards.yaml");
    let text = std::fs::read_to_string(folder.path().join("weir.yaml")).unwrap();
    for said in [
        "- id: \"openai/*\"\n    provider: openai\n    upstream_model: \"*\"\n",
        "- id: \"gpt-*\"\n    provider: openai\n    fallbacks",
        "- id: \"*\"\n    provider: openrouter\n    upstream_model: \"*\"\n",
        "fallbacks: [openai/gpt-4o-mini]",
    ] {
        assert!(text.contains(said), "`{said}` is not in\n{text}");
    }
    for told in ["wildcards.yaml:8: ", "no other beginning", "AWS signs each request", "the name has no star"]
    {
        assert!(run.stderr.contains(told), "{told}\n{}", run.stderr);
    }

    let (folder, run) = imported("own-servers.yaml");
    let text = std::fs::read_to_string(folder.path().join("weir.yaml")).unwrap();
    for said in [
        "base_url: http://gpu-1:11434/v1\n    apis: [chat_completions, embeddings]\n    auth: none\n",
        "base_url: http://gpu-2:8000/v1\n",
        "base_url: \"${LOCAL_BASE_URL}\"",
        "upstream_model: \"a b: $${c} #d\"",
        "- id: included\n    provider: xai\n    upstream_model: grok-3\n",
        "- name: files\n      command: [npx, \"-y\", \"@modelcontextprotocol/server-filesystem\", \".\"]\n",
        "- name: search\n      url: http://127.0.0.1:3001/mcp\n",
        "upstream: {first_byte: 600000ms, idle: 600000ms}",
    ] {
        assert!(text.contains(said), "`{said}` is not in\n{text}");
    }
    for told in [
        "upper and lower case are the same",
        "the URL may hold a secret and is not repeated",
        "this provider has no address of its own",
        "litellm_params.temperature: not carried over",
        "mcp_servers.search.authentication_token: not carried over",
        "guardrails: not carried over",
        "environment_variables: not carried over",
        "something_new: not carried over: this section is not known",
        "included.yaml:4: litellm_settings.num_retries: not carried over: it is no number",
    ] {
        assert!(run.stderr.contains(told), "{told}\n{}", run.stderr);
    }
}

#[test]
fn what_cannot_be_read_is_refused_without_repeating_it() {
    for (name, said) in [("broken.yaml", "broken.yaml:"), ("no-mapping.yaml", "a mapping with `model_list`")]
    {
        let (folder, run) = imported(name);
        run.failed(2, said);
        assert!(!run.stderr.contains("sk-broken-literal"), "{run:#?}");
        assert!(!folder.path().join("weir.yaml").exists(), "{name}");
    }
    let folder = Folder::with(&[("a.yaml", "include: [not-there.yaml]\n"), ("there.yaml", "")]);
    folder.run(&["import", "litellm", "nowhere.yaml"]).failed(2, "nowhere.yaml");
    folder.run(&["import", "litellm", "a.yaml"]).failed(2, "not-there.yaml");
    folder.write("c.yaml", "include: [there.yaml, ./c.yaml]\n");
    folder
        .run(&["import", "litellm", "c.yaml"])
        .failed(2, "`c.yaml` includes itself: take its name out of `include`");
    folder.write("b.yaml", text_of("small.yaml"));
    folder.run(&["import", "litellm", "b.yaml", "--output", "there.yaml"]).failed(1, "is there already");
    let piped = folder.run(&["import", "litellm", "b.yaml"]);
    assert!(piped.good().contains("- id: gpt-4o\n") && piped.stderr.contains("3 settings"), "{piped:#?}");
}

/// A configuration that was imported serves what LiteLLM served, by the same names and the same key.
#[tokio::test]
async fn what_was_imported_serves() {
    let upstream = weir_testkit::ScriptedUpstream::start().await;
    let folder = Folder::with(&[(
        "litellm.yaml",
        &format!(
            "model_list:\n  - model_name: mine\n    litellm_params: {{model: openai/their-name, api_base: \"{}\", api_key: os.environ/UP}}\n\
             general_settings: {{master_key: os.environ/MASTER}}\n",
            upstream.base_url()
        ),
    )]);
    let text = folder.run(&["import", "litellm", "litellm.yaml"]).good().to_owned();
    let text = text.replace("${UP}", "the-upstreams-key").replace("${MASTER}", "sk-the-master-key");
    let weir =
        weir_testkit::WeirCommand::new(crate::support::binary(), &text).folder(folder.path()).start().await;
    let body = serde_json::json!({"model": "mine", "messages": [{"role": "user", "content": "hello"}]});
    let key = [("authorization", "Bearer sk-the-master-key")];
    let url = format!("{}/v1/chat/completions", weir.data());
    let answer = weir_testkit::http::post_json(&url, &key, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = upstream.last();
    assert_eq!(sent.json()["model"], "their-name");
    assert_eq!(sent.header("authorization"), Some("Bearer the-upstreams-key"));
}
