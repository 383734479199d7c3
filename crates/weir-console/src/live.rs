//! What of the configuration the admin plane works by. A reload replaces it as a whole; a request that is under way
//! ends by what it began with.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use weir_config::Config;
use weir_core::secret::Secret;

use crate::auth::Authenticator;

/// The configuration in force and the credentials that it accepts. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Live {
    inner: Arc<ArcSwap<InForce>>,
}

/// One configuration, and the credentials in it.
pub(crate) struct InForce {
    pub(crate) config: Arc<Config>,
    pub(crate) authenticator: Authenticator,
}

impl InForce {
    fn new(config: Arc<Config>, admin_token: &Secret) -> Self {
        Self { authenticator: Authenticator::configured(admin_token, &config.admin), config }
    }
}

impl Live {
    /// Works by this configuration. The token is the administrator's: the configuration's, or the one that was made.
    #[must_use]
    pub fn new(config: Arc<Config>, admin_token: &Secret) -> Self {
        Self { inner: Arc::new(ArcSwap::from_pointee(InForce::new(config, admin_token))) }
    }

    /// Works by another configuration from now on. Tokens that it does not name are accepted no longer.
    pub fn replace(&self, config: Arc<Config>, admin_token: &Secret) {
        self.inner.store(Arc::new(InForce::new(config, admin_token)));
    }

    pub(crate) fn load(&self) -> Guard<Arc<InForce>> {
        self.inner.load()
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        self.inner.load().config.clone()
    }
}
