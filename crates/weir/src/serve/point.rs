//! The gate as the admin plane asks it (OpenID AuthZEN).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use weir_console::{AskedCall, PointAnswer, ToolPoint};
use weir_core::IdentityKey;
use weir_core::clock::SharedClock;
use weir_core::record::IdentityFacts;
use weir_core::tool::{CeilingStanding, ToolStanding};
use weir_store::Directory;
use weir_tools::{Caller, Gate, ToolCall};

/// A gate, and what is known of users.
pub struct GatePoint {
    gate: Gate,
    directory: Directory,
    clock: SharedClock,
}

impl GatePoint {
    /// Asks this gate.
    pub fn new(gate: Gate, directory: Directory, clock: SharedClock) -> Self {
        Self { gate, directory, clock }
    }

    async fn caller(&self, call: &AskedCall) -> Caller {
        let base = match &call.user {
            Some(user) => Caller::user(user, &call.channel, call.source),
            None => {
                let mut caller = Caller::user("", &call.channel, call.source);
                caller.identity =
                    IdentityFacts { key: format!("agent:{}", call.agent), ..IdentityFacts::default() };
                caller
            }
        };
        let known = match &call.user {
            Some(_) => {
                let key = IdentityKey::from_stored(base.identity.key.as_str());
                Some(self.directory.identity_awaited(&key, self.clock.now()).await)
            }
            None => None,
        };
        let mut caller = Caller { agent: call.agent.clone(), session: call.session.clone(), ..base };
        if let Some(known) = known {
            caller.identity.plan = known.plan.unwrap_or_default();
            caller.identity.verified = known.verified;
            caller.identity.blocked = known.blocked;
            caller.identity.tags = known.tags;
        }
        caller
    }
}

impl ToolPoint for GatePoint {
    fn standings(&self, known: &[(String, String)]) -> Vec<ToolStanding> {
        self.gate.standings(known)
    }

    fn ceilings(&self) -> Vec<CeilingStanding> {
        self.gate.ceilings()
    }

    fn evaluate(&self, call: AskedCall) -> Pin<Box<dyn Future<Output = PointAnswer> + Send + '_>> {
        Box::pin(async move {
            let caller = self.caller(&call).await;
            let AskedCall { tool, server, level, args, .. } = call;
            let call = ToolCall { id: None, tool, server, args, iteration: 0, caller: Arc::new(caller) };
            let outcome = self.gate.evaluate(call, level).await;
            let denied = outcome.denied();
            PointAnswer {
                allowed: outcome.success(),
                denial: denied.map(|denied| denied.denial.clone()),
                message: denied.map(|denied| denied.message.clone()),
                decision: outcome.decision,
            }
        })
    }
}
