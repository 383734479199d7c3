//! What secrets look like: the words they begin with or stand behind.

/// A key that its own prefix gives away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    /// What it begins with.
    pub(super) text: &'static str,
    /// How many bytes follow at least.
    pub(super) bytes_min: usize,
    /// Which bytes may follow.
    pub(super) of: Set,
    /// Whether the prefix is known in one case only.
    pub(super) exact: bool,
}

/// Bytes that may follow one another in a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// Letters and digits.
    Plain,
    /// Those, `-` and `_`.
    Token,
    /// Those, `.` and `:`, and the `*` of a key that was masked in its middle.
    Dotted,
    /// What a header's credential is made of.
    Credential,
    /// What an assigned value is made of: no space, quote, bracket, or what separates values.
    Value,
    /// The authority of a URL.
    Authority,
}

impl Set {
    /// How many there are.
    pub(super) const COUNT: usize = 6;

    pub(super) const fn holds(self, byte: u8) -> bool {
        match self {
            Self::Plain => byte.is_ascii_alphanumeric(),
            Self::Token => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'*'),
            Self::Credential => {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=' | b':' | b'*')
            }
            Self::Value => {
                byte.is_ascii_graphic()
                    && !matches!(
                        byte,
                        b'"' | b'\''
                            | b'`'
                            | b'\\'
                            | b'&'
                            | b'<'
                            | b'>'
                            | b','
                            | b';'
                            | b'('
                            | b')'
                            | b'{'
                            | b'}'
                            | b'['
                            | b']'
                    )
            }
            Self::Authority => {
                byte.is_ascii_graphic()
                    && !matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b'/' | b'?' | b'#' | b'<' | b'>')
            }
        }
    }
}

const fn prefix(text: &'static str, bytes_min: usize, of: Set) -> Prefix {
    Prefix { text, bytes_min, of, exact: false }
}

const fn exact(text: &'static str, bytes_min: usize, of: Set) -> Prefix {
    Prefix { text, bytes_min, of, exact: true }
}

/// The formats of keys. Where a prefix is a word in other texts, more must follow.
pub(super) const PREFIXES: &[Prefix] = &[
    // OpenAI, Anthropic, OpenRouter, DeepSeek, Moonshot and all who do as they do.
    exact("sk-", 1, Set::Dotted),
    prefix("csk-", 16, Set::Token),
    // Google: API keys, newer ones, OAuth access and refresh tokens, client secrets.
    exact("AIza", 20, Set::Token),
    exact("AQ.A", 20, Set::Token),
    exact("ya29.", 10, Set::Dotted),
    exact("1//0", 20, Set::Token),
    exact("GOCSPX-", 10, Set::Token),
    // AWS: access key ids, Bedrock API keys.
    exact("AKIA", 16, Set::Plain),
    exact("ASIA", 16, Set::Plain),
    exact("ABIA", 16, Set::Plain),
    exact("ACCA", 16, Set::Plain),
    exact("ABSK", 30, Set::Credential),
    // GitHub, GitLab.
    prefix("ghp_", 1, Set::Dotted),
    prefix("gho_", 1, Set::Dotted),
    prefix("ghu_", 1, Set::Dotted),
    prefix("ghs_", 1, Set::Dotted),
    prefix("ghr_", 1, Set::Dotted),
    prefix("github_pat_", 1, Set::Dotted),
    prefix("glpat-", 10, Set::Dotted),
    // Slack.
    prefix("xoxb-", 1, Set::Dotted),
    prefix("xoxp-", 1, Set::Dotted),
    prefix("xoxa-", 6, Set::Dotted),
    prefix("xoxr-", 6, Set::Dotted),
    prefix("xoxs-", 6, Set::Dotted),
    prefix("xoxe-", 6, Set::Dotted),
    prefix("xoxe.", 6, Set::Dotted),
    prefix("xapp-", 10, Set::Dotted),
    // Stripe.
    prefix("sk_live_", 6, Set::Token),
    prefix("sk_test_", 6, Set::Token),
    prefix("rk_live_", 6, Set::Token),
    prefix("rk_test_", 6, Set::Token),
    prefix("whsec_", 10, Set::Credential),
    // Other providers of models and tools.
    prefix("hf_", 20, Set::Plain),
    prefix("gsk_", 16, Set::Token),
    prefix("xai-", 20, Set::Token),
    prefix("pplx-", 20, Set::Token),
    prefix("nvapi-", 20, Set::Token),
    exact("r8_", 20, Set::Plain),
    exact("fw_", 20, Set::Plain),
    prefix("tgp_v1_", 16, Set::Token),
    prefix("tvly-", 16, Set::Token),
    prefix("jina_", 20, Set::Token),
    prefix("dapi", 32, Set::Plain),
    prefix("lin_api_", 16, Set::Token),
    exact("ATATT3", 20, Set::Credential),
    // Registries, clouds and tools.
    prefix("npm_", 30, Set::Plain),
    exact("pypi-Ag", 16, Set::Token),
    exact("SG.", 30, Set::Dotted),
    prefix("dop_v1_", 16, Set::Token),
    prefix("shpat_", 16, Set::Plain),
    exact("hvs.", 20, Set::Token),
    prefix("sntrys_", 16, Set::Credential),
    prefix("sntryu_", 16, Set::Credential),
    exact("AGE-SECRET-KEY-1", 20, Set::Plain),
];

/// Names that stand before a secret in a header, an assignment or a member of an object.
pub(super) const LABELS: &[&str] = &[
    "api_key",
    "api-key",
    "apikey",
    "api key",
    "api key provided",
    "key provided",
    "subscription-key",
    "access_key",
    "accesskey",
    "access_token",
    "access-token",
    "accesstoken",
    "refresh_token",
    "refreshtoken",
    "id_token",
    "auth_token",
    "auth-token",
    "authtoken",
    "session_token",
    "sessiontoken",
    "security-token",
    "client_secret",
    "client-secret",
    "clientsecret",
    "secret_key",
    "secretkey",
    "secret_access_key",
    "secretaccesskey",
    "private_key",
    "privatekey",
    "accountkey",
    "sharedaccesskey",
    "sharedaccesssignature",
    "password",
    "passwd",
    "webhook_secret",
];

/// The header whose value is a scheme and a credential.
pub(super) const AUTHORIZATION: &str = "authorization";

/// Schemes of that header, wherever they stand.
pub(super) const SCHEMES: &[&str] = &["bearer", "basic"];

/// Names of secrets in a query.
pub(super) const QUERY: &[&str] = &[
    "key",
    "token",
    "secret",
    "sig",
    "signature",
    "pwd",
    "auth",
    "credential",
    "credentials",
    "jwt",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
    "x-goog-credential",
];

/// What stands before a name in a query: as it is, in HTML, in JSON that escapes it.
pub(super) const QUERY_MARKS: &[&str] = &["?", "&", "&amp;", "\\u0026"];

/// Values of labels that are no secrets.
pub(super) const NOT_SECRET: &[&str] = &[
    "none",
    "null",
    "nil",
    "true",
    "false",
    "undefined",
    "missing",
    "required",
    "invalid",
    "empty",
    "unset",
];

/// The beginning of a JSON web token: `{"` in base 64.
pub(super) const JWT: &str = "eyJ";

/// Where a PEM block begins.
pub(super) const PEM: &str = "-----begin ";

/// Where a PEM block ends.
pub(super) const PEM_END: &str = "-----END ";

/// Between a URL's scheme and its authority.
pub(super) const URL: &str = "://";
