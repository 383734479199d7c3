//! Pluggable policies, for programs that embed weir (spec C3).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use weir_core::tool::{Arguments, PermissionLevel};
pub use weir_rules::tool::Verdict;

use crate::call::Caller;

/// How long a policy may think before it counts as failed.
pub const POLICY_DEADLINE: Duration = Duration::from_secs(5);

/// What a policy is asked.
#[derive(Clone, Copy)]
pub struct PolicyRequest<'a> {
    /// The call's id.
    pub call_id: &'a str,
    /// The tool.
    pub tool: &'a str,
    /// Its server; empty for a built-in tool.
    pub server: &'a str,
    /// What the call asks for.
    pub args: &'a Arguments,
    /// The level of this call.
    pub level: PermissionLevel,
    /// The turn's round, from 1.
    pub iteration: u32,
    /// Who calls.
    pub caller: &'a Caller,
}

/// A policy could not make up its mind. The call is denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

/// A policy of the program that embeds weir. It is asked at most once for each call, after levels, ceilings and rules and
/// before approvals; it can only narrow. One that fails or takes longer than [`POLICY_DEADLINE`] denies.
///
/// ```
/// use weir_tools::policy::{PolicyError, PolicyRequest, ToolPolicy, Verdict};
///
/// struct NoNights;
///
/// impl ToolPolicy for NoNights {
///     fn name(&self) -> &str {
///         "no-nights"
///     }
///
///     async fn check(&self, request: &PolicyRequest<'_>) -> Result<Verdict, PolicyError> {
///         Ok(match request.tool {
///             "deploy" => Verdict::Deny { reason: "nobody deploys at night".into() },
///             _ => Verdict::Allow,
///         })
///     }
/// }
/// ```
pub trait ToolPolicy: Send + Sync + 'static {
    /// Its name, which does not change: denials and approvals name it.
    fn name(&self) -> &str;

    /// What it says of a call.
    ///
    /// # Errors
    /// It could not find out. The call is denied.
    fn check(&self, request: &PolicyRequest<'_>)
    -> impl Future<Output = Result<Verdict, PolicyError>> + Send;
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Verdict, PolicyError>> + Send + 'a>>;

/// A policy of any type.
trait Erased: Send + Sync {
    fn name(&self) -> &str;
    fn check<'a>(&'a self, request: &'a PolicyRequest<'a>) -> Answer<'a>;
}

impl<P: ToolPolicy> Erased for P {
    fn name(&self) -> &str {
        ToolPolicy::name(self)
    }

    fn check<'a>(&'a self, request: &'a PolicyRequest<'a>) -> Answer<'a> {
        Box::pin(ToolPolicy::check(self, request))
    }
}

/// Policies, asked in order.
#[derive(Clone)]
pub struct Policies {
    policies: Vec<Arc<dyn Erased>>,
    deadline: Duration,
}

impl Default for Policies {
    fn default() -> Self {
        Self { policies: Vec::new(), deadline: POLICY_DEADLINE }
    }
}

impl Policies {
    /// No policy: nothing is denied by one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a policy behind the others.
    #[must_use]
    pub fn with(mut self, policy: impl ToolPolicy) -> Self {
        self.policies.push(Arc::new(policy));
        self
    }

    /// Gives each policy this long instead of [`POLICY_DEADLINE`].
    #[must_use]
    pub fn answering_within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Asks every policy once. One that fails or is slow denies.
    pub(crate) async fn ask(&self, request: &PolicyRequest<'_>) -> Vec<(String, Verdict)> {
        let mut said = Vec::with_capacity(self.policies.len());
        for policy in &self.policies {
            let name = policy.name().to_owned();
            let verdict = match tokio::time::timeout(self.deadline, policy.check(request)).await {
                Ok(Ok(verdict)) => verdict,
                Ok(Err(error)) => Verdict::Deny { reason: format!("the policy failed: {error}") },
                Err(_) => Verdict::Deny { reason: "the policy did not answer in time".to_owned() },
            };
            let denies = matches!(verdict, Verdict::Deny { .. });
            said.push((name, verdict));
            if denies {
                break;
            }
        }
        said
    }
}
