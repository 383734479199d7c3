//! Texts with a meaning. Their schemas say what a message calls them (`title`) and which must not be shown
//! (`format: password`).

use schemars::JsonSchema;
use serde::Deserialize;

/// A length of time: a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(title = "a duration", extend("pattern" = r"^[0-9]+(ms|s|m|h|d)$|\$\{", "examples" = ["500ms", "30s", "1m", "1h", "1d"]))]
pub(crate) struct RawDuration(pub String);

/// A secret: `${NAME}` reads the environment, `file:PATH` a file. It is never printed or recorded.
#[derive(Clone, Deserialize, JsonSchema)]
#[schemars(title = "a secret text", extend("format" = "password"))]
pub(crate) struct RawSecret(pub String);

impl std::fmt::Debug for RawSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawSecret")
    }
}

/// The URL of a store, which may hold a password; `file:PATH` reads it from a file.
#[derive(Clone, Deserialize, JsonSchema)]
#[schemars(title = "the URL of a store")]
pub(crate) struct RawConnection(pub String);

impl std::fmt::Debug for RawConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawConnection")
    }
}

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(title = "an address with a port", extend("examples" = ["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:0"]))]
pub(crate) struct RawAddress(pub String);

/// A network or one address: `10.0.0.0/8`, `127.0.0.1`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(title = "a network", extend("examples" = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]))]
pub(crate) struct RawNetwork(pub String);

/// A file or a folder; a relative one starts at the configuration file's folder.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(title = "a path", extend("minLength" = 1))]
pub(crate) struct RawPath(pub String);

/// A permission level: none, `read_only`, write, execute or dangerous.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(title = "a permission level", extend("examples" = ["none", "read_only", "write", "execute", "dangerous"]))]
pub(crate) struct RawLevel(pub String);
