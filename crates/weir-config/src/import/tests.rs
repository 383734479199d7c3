//! What the corpus of `weir`'s own tests does not reach: forms that no one file should have all of.

use super::*;

fn import(text: &str) -> Imported {
    litellm(&[SourceText { name: "a.yaml".into(), text: text.into() }]).unwrap()
}

fn deployment(params: &str) -> String {
    format!("model_list: [{{model_name: m, litellm_params: {{{params}}}}}]")
}

#[test]
fn who_serves_a_model_follows_from_its_name() {
    let table = [
        ("model: openai/gpt-4o", Some(("openai", "gpt-4o"))),
        ("model: gpt-4o", Some(("openai", "gpt-4o"))),
        ("model: o3-mini", Some(("openai", "o3-mini"))),
        ("model: claude-3-5-haiku-latest", Some(("anthropic", "claude-3-5-haiku-latest"))),
        ("model: openai/responses/gpt-5", Some(("openai", "gpt-5"))),
        ("model: openrouter/meta-llama/llama-3", Some(("openrouter", "meta-llama/llama-3"))),
        ("model: x, custom_llm_provider: groq", Some(("groq", "x"))),
        ("model: groq/x, custom_llm_provider: groq", Some(("groq", "x"))),
        ("model: x, api_base: \"http://host/v1\"", Some(("openai-like", "x"))),
        ("model: gemini/gemini-2.0-flash", Some(("gemini", "gemini-2.0-flash"))),
        ("model: ollama/llama3", Some(("ollama", "llama3"))),
        ("model: unheard-of", None),
        ("model: bedrock/anthropic.claude", None),
        ("model: vertex_ai/gemini-pro", None),
        ("model: azure/gpt", None),
        ("model: replicate/x", None),
        ("model: text-completion-openai/x", None),
    ];
    for (params, expected) in table {
        let imported = import(&deployment(params));
        match expected {
            Some((provider, upstream)) => {
                let said = format!("- id: m\n    provider: {provider}\n    upstream_model: {upstream}\n");
                assert!(imported.text.contains(&said), "{params}:\n{}", imported.text);
            }
            None => {
                assert!(!imported.text.contains("models:\n"), "{params}:\n{}", imported.text);
                assert!(imported.notes.iter().any(|note| note.why.contains("not carried over")), "{params}");
            }
        }
    }
}

#[test]
fn the_same_literal_is_one_variable_and_another_is_another() {
    let text = "model_list:\n\
        - {model_name: a, litellm_params: {model: openai/a, api_key: sk-one}}\n\
        - {model_name: b, litellm_params: {model: openai/b, api_key: sk-one}}\n\
        - {model_name: c, litellm_params: {model: openai/c, api_key: sk-two}}\n\
        - {model_name: d, litellm_params: {model: openai/d, api_key: os.environ/OPENAI_API_KEY}}\n";
    let imported = import(text);
    assert_eq!(imported.variables, ["OPENAI_API_KEY", "OPENAI_API_KEY_2", "OPENAI_API_KEY_3"]);
    assert!(!imported.text.contains("sk-"), "{}", imported.text);
    assert_eq!(imported.text.matches("- name: ").count(), 3, "{}", imported.text);
    assert_eq!(imported.notes.len(), 3);
    assert_eq!(
        (imported.notes[0].line, imported.notes[0].path.as_str()),
        (2, "model_list[0].litellm_params.api_key")
    );
}

#[test]
fn a_literal_key_is_never_sent_to_a_provider_whose_key_goes_without_saying() {
    let text = "model_list:\n\
        - {model_name: inhouse, litellm_params: {model: openai/a, api_base: \"http://10.0.0.5/v1\", api_key: sk-inhouse}}\n\
        - {model_name: gpt, litellm_params: {model: openai/gpt-4o}}\n";
    let imported = import(text);
    assert_eq!(imported.variables, ["OPENAI_API_KEY", "OPENAI_API_KEY_2"]);
    let (_, inhouse) = imported.text.split_once("10.0.0.5").unwrap();
    assert!(
        inhouse.split_once("api_key:").unwrap().1.trim_start().starts_with("\"${OPENAI_API_KEY_2}\""),
        "{}",
        imported.text
    );
    assert!(imported.notes[0].why.contains("OPENAI_API_KEY_2"), "{}", imported.notes[0].why);
}

#[test]
fn texts_stay_what_they_are() {
    for text in
        ["a", "a b", "true", "No", "1", "", "*", "a: b", "#x", "é", "\"q\"", "a\nb", "null", "-", "a:"]
    {
        let yaml = format!("[{}]", write::scalar(text));
        let node = document::parse(&yaml).unwrap();
        let document::Value::List(items) = node.value else { panic!("{yaml}") };
        assert_eq!(items[0].value, document::Value::Text(text.into()), "{yaml}");
    }
    assert_eq!(write::scalar("${X}"), "\"$${X}\"");
    assert_eq!(write::comment("a\nb\u{1b}[0m"), "# a b [0m");
}

#[test]
fn nothing_and_nonsense_are_read_too() {
    for text in ["", "{}", "model_list:", "model_list: 3", "model_list: [[]]", "router_settings: []", "1: 2"]
    {
        assert!(import(text).text.starts_with("# weir's configuration"), "{text}");
    }
    for text in ["- a", "text", "a: [", "a: b: c"] {
        assert!(litellm(&[SourceText { name: "a.yaml".into(), text: text.into() }]).is_err(), "{text}");
    }
}

#[test]
fn many_notes_are_bounded() {
    let keys: String = (0..1_500).map(|n| format!("unknown_{n}: 1\n")).collect();
    let imported = import(&keys);
    assert_eq!(imported.notes.len(), 1_000);
    assert!(imported.notes[999].why.ends_with("(and 500 more)"));
}

#[test]
fn what_has_another_form_than_it_should_is_told() {
    let table = [
        ("model_list: foo", "model_list"),
        ("model_list: {gpt: {model: x}}", "model_list"),
        ("model_list: [5]", "model_list[0]"),
        ("general_settings: foo", "general_settings"),
        ("router_settings: [1]", "router_settings"),
        ("litellm_settings: 5", "litellm_settings"),
        ("litellm_settings: {fallbacks: {a: b}}", "litellm_settings.fallbacks"),
        ("litellm_settings: {fallbacks: [{a: c}]}", "litellm_settings.fallbacks[0].a"),
        ("litellm_settings: {fallbacks: [5]}", "litellm_settings.fallbacks[0]"),
        ("router_settings: {model_group_alias: [x]}", "router_settings.model_group_alias"),
        ("litellm_settings: {num_retries: 99999999999}", "litellm_settings.num_retries"),
        ("litellm_settings: {num_retries: many}", "litellm_settings.num_retries"),
        ("litellm_settings: {default_fallbacks: a}", "litellm_settings.default_fallbacks"),
        ("litellm_settings: {json_logs: perhaps}", "litellm_settings.json_logs"),
        ("litellm_settings: {set_verbose: 2}", "litellm_settings.set_verbose"),
        ("litellm_settings: {callbacks: {otel: true}}", "litellm_settings.callbacks"),
        ("general_settings: {max_request_size_mb: large}", "general_settings.max_request_size_mb"),
        ("general_settings: {master_key: [a]}", "general_settings.master_key"),
        ("router_settings: {redis_url: [a]}", "router_settings.redis_url"),
        ("router_settings: {redis_host: [a]}", "router_settings.redis_host"),
        ("router_settings: {redis_host: h, redis_port: 63x79}", "router_settings.redis_port"),
        ("router_settings: {redis_host: h, redis_db: first}", "router_settings.redis_db"),
        ("router_settings: {redis_host: h, redis_ssl: 7}", "router_settings.redis_ssl"),
        ("router_settings: {redis_password: p}", "router_settings.redis_password"),
        ("mcp_servers: {a: {command: npx, args: \"-y b\"}}", "mcp_servers.a.args"),
    ];
    for (text, path) in table {
        let notes = import(text).notes;
        assert!(notes.iter().any(|note| note.path == path), "{text}: {notes:?}");
    }
    for (params, path) in [
        ("model: openai/x, input_cost_per_token: cheap", "litellm_params.input_cost_per_token"),
        ("model: openai/x, output_cost_per_token: -1", "litellm_params.output_cost_per_token"),
        ("model: openai/x, order: first", "litellm_params.order"),
    ] {
        let notes = import(&deployment(params)).notes;
        let path = format!("model_list[0].{path}");
        assert!(notes.iter().any(|note| note.path == path), "{params}: {notes:?}");
    }
    assert_eq!(import("general_settings:\nmodel_list: []\n").notes, []);
    assert_eq!(import("litellm_settings: {num_retries: null, default_fallbacks: null}").notes, []);
}

#[test]
fn a_price_that_is_none_is_told_and_none_is_lost() {
    const PARAMS: &str = "model_list[0].litellm_params";
    const INFO: &str = "model_list[0].model_info";
    // The prices of the parameters and of the model's information, what becomes of them, and what is told.
    let table = [
        ("input_cost_per_token: 1e-6", "", "price: {input: 1, output: 0}", vec![]),
        (
            "input_cost_per_token: -1, output_cost_per_token: 2e-6",
            "",
            "price: {input: 0, output: 2}",
            vec![format!("{PARAMS}.input_cost_per_token: not carried over: it is below zero")],
        ),
        (
            "input_cost_per_token: 1e-6",
            "input_cost_per_token: -1, output_cost_per_token: -2",
            "price: {input: 1, output: 0}",
            vec![
                format!("{INFO}.input_cost_per_token: not carried over: it is below zero"),
                format!("{INFO}.output_cost_per_token: not carried over: it is below zero"),
            ],
        ),
        ("input_cost_per_token: 1e-6", "output_cost_per_token: 3e-6", "price: {input: 1, output: 3}", vec![]),
        (
            "output_cost_per_token: 1e305",
            "",
            "",
            vec![format!("{PARAMS}.output_cost_per_token: not carried over: no price is that high")],
        ),
        ("output_cost_per_token: 1e-13", "", "price: {input: 0, output: 0.0000001}", vec![]),
        (
            "",
            "max_input_tokens: -4",
            "",
            vec![format!("{INFO}.max_input_tokens: not carried over: it is below zero")],
        ),
    ];
    for (params, info, price, expected) in table {
        let imported = import(&format!(
            "model_list: [{{model_name: m, litellm_params: {{model: openai/x, {params}}}, model_info: {{{info}}}}}]"
        ));
        let written =
            imported.text.lines().find(|line| line.trim().starts_with("price: ")).unwrap_or_default();
        assert_eq!(written.trim(), price, "{params} {info}");
        let told: Vec<String> =
            imported.notes.iter().map(|note| format!("{}: {}", note.path, note.why)).collect();
        assert_eq!(told, expected, "{params} {info}");
    }
}

#[test]
fn what_names_no_file_to_include_is_told() {
    let file = |name: &str, text: &str| SourceText { name: name.into(), text: text.into() };
    let no_list = "not carried over: it is no list of files, so none is read";
    let table = [
        ("include: [b.yaml]", vec!["b.yaml"], vec![]),
        ("include: []", vec![], vec![]),
        ("include:", vec![], vec![]),
        ("include: b.yaml", vec![], vec![format!("include: {no_list}")]),
        ("include: {a: b}", vec![], vec![format!("include: {no_list}")]),
        (
            "include: [b.yaml, {a: b}, '', null, [x], true, b.yaml]",
            vec!["b.yaml"],
            (1..6)
                .map(|n| format!("include[{n}]: not read: it is no name of a file"))
                .chain([String::from("include[6]: named twice: it is read once")])
                .collect(),
        ),
    ];
    for (text, names, expected) in table {
        assert_eq!(super::litellm_includes(&file("a.yaml", text)), names, "{text}");
        let told: Vec<String> =
            import(text).notes.iter().map(|note| format!("{}: {}", note.path, note.why)).collect();
        assert_eq!(told, expected, "{text}");
    }
    let nested =
        litellm(&[file("a.yaml", "include: [b.yaml]"), file("b.yaml", "include: [c.yaml]")]).unwrap();
    let told: Vec<String> = nested.notes.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["b.yaml:1: include: not read: only the files that the first one includes are"]);
}

#[test]
fn a_redis_server_keeps_its_login_and_its_database() {
    let table = [
        ("redis_host: h", "redis://h:6379", &[][..]),
        ("redis_host: h, redis_port: 1, redis_db: 0, redis_ssl: \"yes\"", "rediss://h:1", &[]),
        ("redis_host: h, redis_db: 3", "redis://h:6379/3", &[]),
        (
            "redis_host: h, redis_username: weir, redis_password: pw, redis_db: 2",
            "redis://weir:${REDIS_PASSWORD}@h:6379/2",
            &["REDIS_PASSWORD"],
        ),
        ("redis_host: h, redis_username: weir", "redis://weir@h:6379", &[]),
        ("redis_host: h, redis_username: \"a@b\"", "redis://${REDIS_USERNAME}@h:6379", &["REDIS_USERNAME"]),
        (
            "redis_host: os.environ/H, redis_port: os.environ/P, redis_username: os.environ/U, \
             redis_password: os.environ/W, redis_db: os.environ/D",
            "redis://${U}:${W}@${H}:${P}/${D}",
            &["D", "H", "P", "U", "W"],
        ),
        ("redis_url: os.environ/R", "${R}", &["R"]),
        ("redis_url: \"redis://:pw@h\"", "${REDIS_URL}", &["REDIS_URL"]),
    ];
    for (settings, cache, variables) in table {
        let imported = import(&format!("router_settings: {{{settings}}}"));
        let said = imported.text.lines().find(|line| line.starts_with("cache: ")).unwrap_or_default();
        assert_eq!(said.replace('"', ""), format!("cache: {cache}"), "{settings}");
        assert_eq!(imported.variables, variables, "{settings}");
        assert!(!imported.text.contains("pw"), "{settings}: {}", imported.text);
    }
}

#[test]
fn more_fallbacks_than_weir_tries_are_told() {
    let models = |count: usize| {
        (0..count)
            .map(|n| format!("- {{model_name: m{n}, litellm_params: {{model: openai/m{n}}}}}\n"))
            .collect::<String>()
    };
    let names = (1..10).map(|n| format!("m{n}")).collect::<Vec<_>>().join(", ");
    let text = format!("model_list:\n{}litellm_settings: {{fallbacks: [{{m0: [{names}]}}]}}\n", models(10));
    let imported = import(&text);
    assert!(imported.text.contains("fallbacks: [m1, m2, m3, m4, m5, m6, m7, m8]\n"), "{}", imported.text);
    let told: Vec<_> = imported.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["a.yaml:12: litellm_settings.fallbacks[0].m0: cut: weir tries at most 8 fallbacks of a model"]
    );

    let deployments: String =
        (0..10).map(|n| format!("- {{model_name: m, litellm_params: {{model: openai/m{n}}}}}\n")).collect();
    let imported = import(&format!("model_list:\n{deployments}"));
    let last = imported.notes.last().unwrap();
    assert_eq!(
        (last.line, last.why.as_str()),
        (11, "becomes the model `m/deployment-10`; weir tries at most 8 fallbacks of a model")
    );
    assert!(!imported.text.contains("m/deployment-9, m/deployment-10"), "{}", imported.text);
}
