//! The person who sits before a turn.

use futures_util::future::BoxFuture;
use serde_json::Value as Json;

use crate::outcome::PendingApproval;

/// Is asked about calls that wait for an approval, one at a time.
pub trait Person: Send + Sync {
    /// Asks for a yes or a no. `args` is what the tool would be given: shown here and kept nowhere. `may_approve`: a yes of
    /// this person counts; else only a no does. `None`: there is no answer here, and the turn goes on without one. The
    /// future is dropped when somebody else answers first.
    fn ask<'a>(
        &'a self,
        pending: &'a PendingApproval,
        args: &'a Json,
        may_approve: bool,
    ) -> BoxFuture<'a, Option<bool>>;
}

/// Nobody is there: what waits is listed in the result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Person for Nobody {
    fn ask<'a>(&'a self, _: &'a PendingApproval, _: &'a Json, _: bool) -> BoxFuture<'a, Option<bool>> {
        Box::pin(std::future::ready(None))
    }
}
