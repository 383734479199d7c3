//! LiteLLM's names of providers, and where weir finds them: those that speak OpenAI's or Anthropic's API.

/// How a provider is reached.
pub(super) struct Known {
    /// LiteLLM's name, the prefix of `litellm_params.model`.
    pub(super) prefix: &'static str,
    /// Its URL with the version; none where each installation has its own.
    pub(super) base_url: Option<&'static str>,
    /// What is added to an `api_base` that does not end with it.
    pub(super) path: &'static str,
    /// What it serves.
    pub(super) apis: &'static [&'static str],
    /// How it is shown a key.
    pub(super) auth: &'static str,
    /// The variable that LiteLLM reads its key from when none is given.
    pub(super) variable: &'static str,
}

const CHAT: &[&str] = &["chat_completions"];
const CHAT_EMBEDDINGS: &[&str] = &["chat_completions", "embeddings"];

const fn openai(
    prefix: &'static str,
    base_url: &'static str,
    apis: &'static [&'static str],
    variable: &'static str,
) -> Known {
    Known { prefix, base_url: Some(base_url), path: "", apis, auth: "bearer", variable }
}

/// One's own server that speaks OpenAI's API.
const fn hosted(prefix: &'static str, variable: &'static str) -> Known {
    Known { prefix, base_url: None, path: "", apis: CHAT_EMBEDDINGS, auth: "bearer", variable }
}

const KNOWN: &[Known] = &[
    openai(
        "openai",
        "https://api.openai.com/v1",
        &["chat_completions", "responses", "embeddings"],
        "OPENAI_API_KEY",
    ),
    Known {
        prefix: "anthropic",
        base_url: Some("https://api.anthropic.com/v1"),
        path: "/v1",
        apis: &["messages"],
        auth: "x-api-key",
        variable: "ANTHROPIC_API_KEY",
    },
    openai("groq", "https://api.groq.com/openai/v1", CHAT, "GROQ_API_KEY"),
    openai("mistral", "https://api.mistral.ai/v1", CHAT_EMBEDDINGS, "MISTRAL_API_KEY"),
    openai("together_ai", "https://api.together.xyz/v1", CHAT_EMBEDDINGS, "TOGETHERAI_API_KEY"),
    openai("openrouter", "https://openrouter.ai/api/v1", CHAT, "OPENROUTER_API_KEY"),
    openai("deepseek", "https://api.deepseek.com/v1", CHAT, "DEEPSEEK_API_KEY"),
    openai("xai", "https://api.x.ai/v1", CHAT, "XAI_API_KEY"),
    openai(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        CHAT_EMBEDDINGS,
        "GEMINI_API_KEY",
    ),
    openai("fireworks_ai", "https://api.fireworks.ai/inference/v1", CHAT_EMBEDDINGS, "FIREWORKS_AI_API_KEY"),
    openai("perplexity", "https://api.perplexity.ai", CHAT, "PERPLEXITYAI_API_KEY"),
    openai("cerebras", "https://api.cerebras.ai/v1", CHAT, "CEREBRAS_API_KEY"),
    openai("deepinfra", "https://api.deepinfra.com/v1/openai", CHAT_EMBEDDINGS, "DEEPINFRA_API_KEY"),
    openai("nvidia_nim", "https://integrate.api.nvidia.com/v1", CHAT_EMBEDDINGS, "NVIDIA_NIM_API_KEY"),
    openai("sambanova", "https://api.sambanova.ai/v1", CHAT_EMBEDDINGS, "SAMBANOVA_API_KEY"),
    openai("moonshot", "https://api.moonshot.ai/v1", CHAT, "MOONSHOT_API_KEY"),
    Known {
        prefix: "ollama",
        base_url: Some("http://localhost:11434/v1"),
        path: "/v1",
        apis: CHAT_EMBEDDINGS,
        auth: "none",
        variable: "OLLAMA_API_KEY",
    },
    hosted("hosted_vllm", "HOSTED_VLLM_API_KEY"),
    hosted("lm_studio", "LM_STUDIO_API_KEY"),
    hosted("llamafile", "LLAMAFILE_API_KEY"),
    hosted("openai_like", "OPENAI_LIKE_API_KEY"),
    hosted("custom_openai", "CUSTOM_OPENAI_API_KEY"),
    hosted("litellm_proxy", "LITELLM_PROXY_API_KEY"),
    hosted("vllm", "VLLM_API_KEY"),
];

/// The provider that LiteLLM calls so.
pub(super) fn find(prefix: &str) -> Option<&'static Known> {
    // The same server; LiteLLM's two names choose between two of its endpoints.
    let prefix = if prefix == "ollama_chat" { "ollama" } else { prefix };
    KNOWN.iter().find(|known| known.prefix == prefix)
}

/// The provider of a model that is named without one, as LiteLLM guesses it.
pub(super) fn guess(model: &str) -> Option<&'static str> {
    let starts = |beginnings: &[&str]| beginnings.iter().any(|beginning| model.starts_with(beginning));
    if starts(&["gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-"]) {
        Some("openai")
    } else if starts(&["claude-"]) {
        Some("anthropic")
    } else {
        None
    }
}

/// Why a provider is not carried over.
pub(super) fn why_not(prefix: &str) -> String {
    let how = match prefix {
        "azure" | "azure_ai" | "azure_text" => {
            "Azure's own paths, API versions and `api-key` header are not OpenAI's"
        }
        "bedrock" | "bedrock_converse" | "sagemaker" | "sagemaker_chat" => {
            "AWS signs each request, which weir does not do"
        }
        "vertex_ai" | "vertex_ai_beta" => {
            "Vertex AI needs Google's short-lived tokens; `gemini/` with an API key can be carried over"
        }
        "text-completion-openai" => "weir does not serve the old completions API",
        _ => {
            "weir calls what speaks OpenAI's or Anthropic's API; if this provider does, add it by hand (docs/configuration.md)"
        }
    };
    format!("not carried over: {how}")
}
