//! The third boundary in `weir serve`: the gate, and the tool servers behind `/mcp/{server}`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use weir_config::Config;
use weir_core::tool::CallSource;
use weir_gateway::{Guest, GuestBody, Visitor};
use weir_tools::mcp::Mcp;
use weir_tools::{Caller, Gate};

/// The channel of a key whose record names none.
const CHANNEL: &str = "mcp";

/// The gate and what stands before it.
#[derive(Clone)]
pub struct Tools {
    /// The gate.
    pub gate: Gate,
    /// The configured tool servers.
    pub mcp: Mcp,
}

impl Tools {
    /// Serves the configured tool servers through a gate. Commands run in the folder of the configuration.
    pub fn new(gate: Gate, config: &Config, named: Option<&Path>) -> Self {
        if !config.tools.mcp_servers.is_empty() && config.tools.channel_permissions.is_empty() {
            tracing::info!("`tools.channel_permissions` is empty: no channel has a ceiling");
        }
        let folder = named.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
        let mcp = Mcp::new(gate.clone(), &config.tools.mcp_servers, folder);
        Self { gate, mcp }
    }

    /// Puts another configuration in force.
    pub fn reload(&self, config: &Config) {
        self.gate.reload(config.tools.clone());
        self.mcp.reload(&config.tools.mcp_servers);
    }

    /// What the data plane hands requests below `/mcp/` to.
    pub fn guest(&self) -> Arc<dyn Guest> {
        Arc::new(McpGuest(self.mcp.clone()))
    }
}

struct McpGuest(Mcp);

impl Guest for McpGuest {
    fn serves(&self, path: &str) -> bool {
        path.starts_with("/mcp/")
    }

    fn serve(&self, request: Request<Incoming>, visitor: Visitor) -> BoxFuture<'static, Response<GuestBody>> {
        let mcp = self.0.clone();
        let caller = Caller {
            identity: visitor.identity,
            stats: visitor.stats,
            channel: visitor.channel.unwrap_or_else(|| CHANNEL.to_owned()),
            source: CallSource::Channel,
            trace: visitor.trace,
            ..Caller::default()
        };
        Box::pin(async move { mcp.handle(request, caller).await.map(|body| body.boxed_unsync()) })
    }
}
