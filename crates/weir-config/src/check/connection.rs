//! The URLs of the stores. They may hold a password, so that no message quotes them.

use std::path::Path as FilePath;

use url::Url;
use weir_core::secret::Secret;

use super::Check;
use crate::config::{CacheUrl, DatabaseUrl, Sentinel};
use crate::path::Path;
use crate::raw::{RawConnection, RawSecret};

const STORE_HELP: &str = "write `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/NAME`";
const CACHE_HELP: &str = "write `memory`, `redis://HOST:PORT`, `rediss://HOST:PORT`, `redis+cluster://A,B,C` or \
                          `redis+sentinel://A,B,C/SERVICE`";
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

impl Check<'_, '_> {
    pub(super) fn store(
        &mut self,
        raw: Option<&RawConnection>,
        data_dir: &FilePath,
        path: &Path,
    ) -> DatabaseUrl {
        let default = || DatabaseUrl::Sqlite(data_dir.join("weir.db"));
        let Some(text) = raw.and_then(|raw| self.secret_text(&raw.0, path)) else { return default() };
        let text = text.trim();
        let parsed = match text.split_once(':') {
            Some(("sqlite", file)) => self.sqlite(file),
            Some(("postgres" | "postgresql", _)) => postgres(text),
            _ => Err("this is no URL of a database"),
        };
        parsed.unwrap_or_else(|message| {
            self.error(path, message).help(STORE_HELP);
            default()
        })
    }

    fn sqlite(&self, file: &str) -> Result<DatabaseUrl, &'static str> {
        let file = file.strip_prefix("//").unwrap_or(file);
        match file {
            "" => Err("the path of the SQLite file is missing"),
            ":memory:" => Err("records must outlive the process: an SQLite database in memory is of no use"),
            _ if file.contains('?') => Err("the path of the SQLite file has no parameters"),
            _ => Ok(DatabaseUrl::Sqlite(self.path_from(file))),
        }
    }

    pub(super) fn cache(&mut self, raw: Option<&RawConnection>, path: &Path) -> CacheUrl {
        let Some(text) = raw.and_then(|raw| self.secret_text(&raw.0, path)) else { return CacheUrl::Memory };
        parse_cache(text.trim()).unwrap_or_else(|message| {
            self.error(path, message).help(CACHE_HELP);
            CacheUrl::Memory
        })
    }

    /// A DSN as Sentry hands it out; an empty one is none.
    pub(super) fn sentry_dsn(&mut self, raw: Option<&RawSecret>, path: &Path) -> Option<Secret> {
        let text = self.secret_text(&raw?.0, path)?;
        if text.trim().is_empty() {
            return None;
        }
        let is_dsn = Url::parse(text.trim()).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && !url.username().is_empty() && url.path().len() > 1
        });
        if !is_dsn {
            self.error(path, "this is no DSN of Sentry").help("it looks like `https://KEY@HOST/PROJECT`");
            return None;
        }
        Some(Secret::from(text.trim().to_owned()))
    }
}

fn postgres(text: &str) -> Result<DatabaseUrl, &'static str> {
    match Url::parse(text) {
        Ok(_) => Ok(DatabaseUrl::Postgres(Secret::from(text.to_owned()))),
        Err(_) => Err("this is no URL of a PostgreSQL database"),
    }
}

/// The parts of `redis+…://LOGIN@A,B,C/REST`.
struct Nodes<'t> {
    login: &'t str,
    hosts: &'t str,
    rest: &'t str,
}

fn parse_cache(text: &str) -> Result<CacheUrl, &'static str> {
    if text == "memory" {
        return Ok(CacheUrl::Memory);
    }
    let (scheme, after) = text.split_once("://").ok_or("this is no URL of a cache")?;
    let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    if !matches!(scheme, "redis" | "rediss") {
        return Err("this is no URL of a cache");
    }
    match kind {
        "" => single(scheme, after),
        "cluster" => cluster(scheme, &nodes(after)),
        "sentinel" => sentinel(scheme, &nodes(after)),
        _ => Err("this is no URL of a cache"),
    }
}

fn single(scheme: &str, after: &str) -> Result<CacheUrl, &'static str> {
    let url = node_url(scheme, "", after, REDIS_PORT).ok_or("this is no URL of a Redis server")?;
    let (address, _) = after.split_once(['?', '#']).unwrap_or((after, ""));
    let database = nodes(address).rest.trim_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Err("what follows the server is no number of a database");
    }
    Ok(CacheUrl::Redis(url))
}

fn nodes(after: &str) -> Nodes<'_> {
    let (authority, rest) = after.split_once('/').unwrap_or((after, ""));
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    Nodes { login, hosts, rest }
}

fn cluster(scheme: &str, nodes: &Nodes<'_>) -> Result<CacheUrl, &'static str> {
    if !nodes.rest.is_empty() {
        return Err("a cluster has no numbered databases: nothing follows its nodes");
    }
    let login = if nodes.login.is_empty() { String::new() } else { format!("{}@", nodes.login) };
    Ok(CacheUrl::RedisCluster(node_urls(scheme, &login, nodes.hosts, REDIS_PORT)?))
}

fn sentinel(scheme: &str, nodes: &Nodes<'_>) -> Result<CacheUrl, &'static str> {
    let (service, database) = nodes.rest.split_once('/').unwrap_or((nodes.rest, "0"));
    let (username, password) = nodes.login.split_once(':').unwrap_or((nodes.login, ""));
    let present = |text: &str| Some(percent_decoded(text)).filter(|text| !text.is_empty());
    Ok(CacheUrl::RedisSentinel(Sentinel {
        sentinels: node_urls(scheme, "", nodes.hosts, SENTINEL_PORT)?,
        service: if service.is_empty() { "mymaster".to_owned() } else { service.to_owned() },
        database: database.parse().map_err(|_| "what follows the service is no number of a database")?,
        tls: scheme == "rediss",
        username: present(username),
        password: present(password).map(Secret::from),
    }))
}

fn node_urls(scheme: &str, login: &str, hosts: &str, port: u16) -> Result<Vec<Secret>, &'static str> {
    let urls = hosts.split(',').map(|host| node_url(scheme, login, host.trim(), port));
    urls.collect::<Option<_>>().ok_or("one of the nodes is no host, or host and port")
}

/// The URL of one server, with its port written out.
fn node_url(scheme: &str, login: &str, host: &str, port: u16) -> Option<Secret> {
    let mut url = Url::parse(&format!("{scheme}://{login}{host}")).ok()?;
    url.host_str().filter(|host| !host.is_empty())?;
    if url.port().is_none() {
        url.set_port(Some(port)).ok()?;
    }
    Some(Secret::from(String::from(url)))
}

/// `%41` is `A`; what is no such sequence stays.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use weir_core::secret::expose;

    use super::*;

    fn shown(text: &str) -> String {
        let list = |urls: &[Secret]| urls.iter().map(expose).collect::<Vec<_>>().join(" ");
        match parse_cache(text) {
            Ok(CacheUrl::Memory) => "memory".to_owned(),
            Ok(CacheUrl::Redis(url)) => format!("one {}", expose(&url)),
            Ok(CacheUrl::RedisCluster(urls)) => format!("cluster {}", list(&urls)),
            Ok(CacheUrl::RedisSentinel(s)) => format!(
                "{} of {} db {} tls {} as {:?} {:?}",
                s.service,
                list(&s.sentinels),
                s.database,
                s.tls,
                s.username,
                s.password.as_ref().map(expose)
            ),
            Err(message) => format!("error: {message}"),
        }
    }

    #[test]
    fn urls_of_caches_are_read() {
        let table = [
            ("memory", "memory"),
            ("redis://127.0.0.1:6379", "one redis://127.0.0.1:6379"),
            ("redis://h", "one redis://h:6379"),
            ("rediss://u:p@h:1/2", "one rediss://u:p@h:1/2"),
            ("redis+cluster://a,b:7000,[::1]", "cluster redis://a:6379 redis://b:7000 redis://[::1]:6379"),
            ("rediss+cluster://u:p@a,b", "cluster rediss://u:p@a:6379 rediss://u:p@b:6379"),
            (
                "redis+sentinel://a,b/main",
                "main of redis://a:26379 redis://b:26379 db 0 tls false as None None",
            ),
            (
                "rediss+sentinel://u:p%40x@a/main/3",
                "main of rediss://a:26379 db 3 tls true as Some(\"u\") Some(\"p@x\")",
            ),
            ("redis+sentinel://:p@a", "mymaster of redis://a:26379 db 0 tls false as None Some(\"p\")"),
            ("redis+sentinel://a/main/x", "error: what follows the service is no number of a database"),
            ("redis+cluster://a,,b", "error: one of the nodes is no host, or host and port"),
            ("redis+cluster://a/1", "error: a cluster has no numbered databases: nothing follows its nodes"),
            ("redis+other://a", "error: this is no URL of a cache"),
            ("memcached://a", "error: this is no URL of a cache"),
            ("redis", "error: this is no URL of a cache"),
            ("redis://h/", "one redis://h:6379/"),
            ("redis://h/4?protocol=resp3", "one redis://h:6379/4?protocol=resp3"),
            ("redis://h/cache", "error: what follows the server is no number of a database"),
            ("redis://:p@h/-1", "error: what follows the server is no number of a database"),
            ("redis://", "error: this is no URL of a Redis server"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn percent_signs_are_decoded() {
        for (text, expected) in
            [("a%40b", "a@b"), ("100%", "100%"), ("%zz", "%zz"), ("%C3%A9", "é"), ("%2", "%2")]
        {
            assert_eq!(percent_decoded(text), expected, "{text}");
        }
    }
}
