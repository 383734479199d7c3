//! Who may use the admin plane, and for what: a program by its bearer token, a person by the session of a browser.
//!
//! Tokens are held as SHA-256 hashes and compared in constant time, every one of them at every request, so that the
//! time of an answer tells nothing about any token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use weir_config::config::{Admin, Role};
use weir_core::secret::{Secret, expose};

use crate::console::Console;
use crate::pages::{self, Visit};
use crate::problem::Problem;
use crate::session;

/// Who sent a request, as it is written into histories and the audit list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's name: `admin` for the admin token, `access` for the pair of the abuse service.
    pub name: Arc<str>,
    /// What its holder may do.
    pub role: Role,
}

/// The SHA-256 of a credential.
type Hash = [u8; 32];
/// The SHA-256 of a token.
pub(crate) type TokenHash = Hash;

struct Token {
    name: Arc<str>,
    hash: Hash,
    role: Role,
}

impl Token {
    fn principal(&self) -> Principal {
        Principal { name: self.name.clone(), role: self.role }
    }
}

/// The credentials that the admin plane accepts.
pub struct Authenticator {
    tokens: Vec<Token>,
    access: Option<(Hash, Hash)>,
}

/// How many octets a presented credential may have; a longer one is no credential of ours.
const CREDENTIAL_BYTES_MAX: usize = 4096;

impl Authenticator {
    /// Accepts the admin token alone.
    #[must_use]
    pub fn new(admin_token: &Secret) -> Self {
        Self { tokens: Vec::new(), access: None }.with_token("admin", admin_token, Role::Operator)
    }

    /// Accepts the admin token and what the configuration names beside it.
    #[must_use]
    pub fn configured(admin_token: &Secret, admin: &Admin) -> Self {
        let mut authenticator = Self::new(admin_token);
        for token in &admin.tokens {
            authenticator = authenticator.with_token(&token.name, &token.token, token.role);
        }
        match &admin.access {
            Some(pair) => authenticator.with_access(&pair.client_id, &pair.client_secret),
            None => authenticator,
        }
    }

    /// Accepts one more token. An empty one is never accepted.
    #[must_use]
    pub fn with_token(mut self, name: &str, token: &Secret, role: Role) -> Self {
        if !expose(token).is_empty() {
            self.tokens.push(Token { name: name.into(), hash: hash(expose(token)), role });
        }
        self
    }

    /// Accepts the pair of the abuse service; nothing if one of the two is empty.
    #[must_use]
    pub fn with_access(mut self, client_id: &str, client_secret: &Secret) -> Self {
        if !client_id.is_empty() && !expose(client_secret).is_empty() {
            self.access = Some((hash(client_id), hash(expose(client_secret))));
        }
        self
    }

    /// Who presents this bearer token, and the role that it has.
    fn bearer(&self, headers: &HeaderMap) -> Option<Principal> {
        self.sign_in(presented_token(headers)?).map(|(principal, _)| principal)
    }

    /// Whose token this is.
    pub(crate) fn sign_in(&self, token: &str) -> Option<(Principal, TokenHash)> {
        let presented = hash(token);
        let mut found = None;
        for token in &self.tokens {
            // No early exit: the time taken must not depend on which token matches.
            if bool::from(token.hash.ct_eq(&presented)) {
                found = Some((token.principal(), token.hash));
            }
        }
        found
    }

    /// The holder of a token that has this name and role now, and is the one that is meant.
    pub(crate) fn named(&self, name: &str, role: &str, is: impl Fn(&TokenHash) -> bool) -> Option<Principal> {
        let named = self.tokens.iter().filter(|token| &*token.name == name && token.role.as_str() == role);
        named.filter(|token| is(&token.hash)).map(Token::principal).next()
    }

    /// Whether the request carries the pair of the abuse service.
    fn access(&self, headers: &HeaderMap) -> Option<Principal> {
        let (id, secret) = self.access.as_ref()?;
        let presented = |name: &str| Some(hash(headers.get(name)?.to_str().ok()?));
        let both: Choice =
            presented("cf-access-client-id")?.ct_eq(id) & presented("cf-access-client-secret")?.ct_eq(secret);
        bool::from(both).then(|| Principal { name: "access".into(), role: Role::Viewer })
    }

    /// Decides about one request.
    fn authenticate(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Principal, Problem> {
        if is_abuse_service(path)
            && let Some(principal) = self.access(headers)
        {
            return Ok(principal);
        }
        let principal = self.bearer(headers).ok_or_else(Problem::unauthenticated)?;
        permit(&principal, method, path)?;
        Ok(principal)
    }
}

/// Whether the role of somebody suffices for a request.
pub(crate) fn permit(principal: &Principal, method: &Method, path: &str) -> Result<(), Problem> {
    let (role, needed) = (principal.role, needed_role(method, path));
    if role >= needed {
        return Ok(());
    }
    let (name, role, needed) = (&principal.name, role.as_str(), needed.as_str());
    let detail = format!("the token `{name}` has the role {role}; this needs the role {needed}");
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

fn presented_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && token.len() <= CREDENTIAL_BYTES_MAX).then_some(token)
}

fn needed_role(method: &Method, path: &str) -> Role {
    if matches!(*method, Method::GET | Method::HEAD) || matches!(path, "/sign-out" | "/theme") {
        Role::Viewer
    } else if ["/api/approvals/", "/approvals/", "/access/v1/"].iter().any(|under| path.starts_with(under)) {
        Role::Approver
    } else {
        Role::Operator
    }
}

/// The paths that another gateway calls with the pair of `admin.access`.
fn is_abuse_service(path: &str) -> bool {
    matches!(path, "/api/classify" | "/api/usage/cost" | "/api/auth-event" | "/api/events")
}

/// Lets a request pass that shows a credential which may do what it asks, and notes who it is. A credential in the
/// headers counts alone; without one the session of a browser does.
pub(crate) async fn layer(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let (headers, path) = (request.headers(), request.uri().path());
    let by_header = headers.contains_key(header::AUTHORIZATION) || is_abuse_service(path);
    if !by_header && (session::is_presented(headers) || pages::is_page(&request)) {
        return pages::guard(console, request, next).await;
    }
    let in_force = console.parts.live.load();
    let passed = in_force.authenticator.authenticate(request.method(), path, headers);
    drop(in_force);
    match passed {
        Ok(principal) => {
            let visit = Visit::of_program(&console, &principal, &request);
            request.extensions_mut().insert(visit);
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticator() -> Authenticator {
        Authenticator::new(&"root-token".into())
            .with_token("ops", &"viewer-token".into(), Role::Viewer)
            .with_token("duty", &"approver-token".into(), Role::Approver)
            .with_token("empty", &"".into(), Role::Operator)
            .with_access("id", &"secret".into())
    }

    fn status(method: &str, path: &str, headers: &[(&'static str, &str)]) -> Result<String, u16> {
        let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        authenticator()
            .authenticate(&method.parse().unwrap(), path, &headers)
            .map(|p| p.name.to_string())
            .map_err(|p| p.status())
    }

    #[test]
    fn roles_and_pairs_open_what_they_should() {
        let pair: &[(&str, &str)] = &[("cf-access-client-id", "id"), ("cf-access-client-secret", "secret")];
        let half: &[(&str, &str)] = &[("cf-access-client-id", "id"), ("cf-access-client-secret", "wrong")];
        type Case<'a> = (&'a str, &'a str, &'a [(&'static str, &'a str)], Result<&'a str, u16>);
        let table: &[Case<'_>] = &[
            ("PUT", "/api/rules", &[("authorization", "Bearer root-token")], Ok("admin")),
            ("PUT", "/api/rules", &[("authorization", "bearer  root-token ")], Ok("admin")),
            ("PUT", "/api/rules", &[("authorization", "Basic root-token")], Err(401)),
            ("PUT", "/api/rules", &[("authorization", "Bearer root-toke")], Err(401)),
            ("PUT", "/api/rules", &[("authorization", "Bearer ")], Err(401)),
            ("PUT", "/api/rules", &[], Err(401)),
            ("GET", "/api/rules", &[("authorization", "Bearer viewer-token")], Ok("ops")),
            ("HEAD", "/api/rules", &[("authorization", "Bearer viewer-token")], Ok("ops")),
            ("PUT", "/api/rules", &[("authorization", "Bearer viewer-token")], Err(403)),
            ("GET", "/metrics", &[("authorization", "Bearer approver-token")], Ok("duty")),
            ("POST", "/api/approvals/apr_1", &[("authorization", "Bearer approver-token")], Ok("duty")),
            ("POST", "/api/approvals/apr_1", &[("authorization", "Bearer viewer-token")], Err(403)),
            ("POST", "/approvals/apr_1/answer", &[("authorization", "Bearer approver-token")], Ok("duty")),
            ("POST", "/approvals/apr_1/answer", &[("authorization", "Bearer viewer-token")], Err(403)),
            ("POST", "/sign-out", &[("authorization", "Bearer viewer-token")], Ok("ops")),
            ("POST", "/keys", &[("authorization", "Bearer approver-token")], Err(403)),
            ("POST", "/access/v1/evaluation", &[("authorization", "Bearer approver-token")], Ok("duty")),
            ("POST", "/api/tools/accept", &[("authorization", "Bearer approver-token")], Err(403)),
            ("DELETE", "/api/actions", &[("authorization", "Bearer approver-token")], Err(403)),
            ("POST", "/api/classify", pair, Ok("access")),
            ("POST", "/api/usage/cost", pair, Ok("access")),
            ("POST", "/api/auth-event", pair, Ok("access")),
            ("POST", "/api/events", pair, Ok("access")),
            ("POST", "/api/classify", half, Err(401)),
            ("GET", "/api/rules", pair, Err(401)),
            ("POST", "/api/classify", &[("authorization", "Bearer root-token")], Ok("admin")),
        ];
        for (method, path, headers, expected) in table {
            assert_eq!(
                status(method, path, headers),
                expected.map(str::to_owned),
                "{method} {path} {headers:?}"
            );
        }
    }

    #[test]
    fn an_empty_pair_is_never_accepted() {
        let open = Authenticator::new(&"t".into()).with_access("", &"".into());
        let headers = [("cf-access-client-id", ""), ("cf-access-client-secret", "")];
        let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        assert!(open.authenticate(&Method::POST, "/api/classify", &headers).is_err());
    }
}
