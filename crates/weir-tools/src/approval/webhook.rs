//! Tells a URL that an approval waits. What is told holds no argument's value.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::json;
use tokio::sync::Semaphore;
use url::Url;
use weir_store::database::Approval;

use super::question_text;
use crate::mcp::link::http::{HttpClient, http_client};

/// How long one try may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The pauses before further tries.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Deliveries at once; beyond it a delivery is dropped and counted.
const DELIVERIES_MAX: usize = 32;

/// Delivers in the background.
pub(crate) struct Webhook {
    client: OnceLock<HttpClient>,
    room: Arc<Semaphore>,
}

impl Default for Webhook {
    fn default() -> Self {
        Self { client: OnceLock::new(), room: Arc::new(Semaphore::new(DELIVERIES_MAX)) }
    }
}

impl Webhook {
    /// Tells of a new approval, if there is somebody to tell.
    pub(crate) fn created(&self, url: Option<Url>, approval: &Approval) {
        let Some(url) = url else { return };
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            metrics::counter!("weir_approval_webhooks_total", "result" => "dropped").increment(1);
            return;
        };
        let client = self.client.get_or_init(http_client).clone();
        let body = json!({
            "event": "approval.created",
            "approval": approval,
            "question": question_text(approval),
        });
        let body = Bytes::from(body.to_string());
        tokio::spawn(async move {
            let delivered = deliver(&client, &url, &body).await;
            let result = if delivered { "delivered" } else { "failed" };
            metrics::counter!("weir_approval_webhooks_total", "result" => result).increment(1);
            if !delivered {
                // The URL may hold a secret.
                tracing::warn!("the webhook of `tools.approvals.webhook` did not take an approval");
            }
            drop(place);
        });
    }
}

async fn deliver(client: &HttpClient, url: &Url, body: &Bytes) -> bool {
    for pause in std::iter::once(None).chain(PAUSES.into_iter().map(Some)) {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        let request = Request::builder()
            .method(Method::POST)
            .uri(url.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("weir/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body.clone()));
        let Ok(request) = request else { return false };
        let answered = tokio::time::timeout(DEADLINE, client.request(request)).await;
        if answered.is_ok_and(|answered| answered.is_ok_and(|answer| answer.status().is_success())) {
            return true;
        }
    }
    false
}
