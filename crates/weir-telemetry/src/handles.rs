//! What a boundary is given to tell by.

use crate::access::AccessLog;
use crate::tracer::Tracer;

/// Who is told of ended requests and calls; by default nobody. Cheap to clone.
#[derive(Clone, Default)]
pub struct Telemetry {
    /// Takes spans.
    pub tracer: Option<Tracer>,
    /// Takes lines of the access log.
    pub access: Option<AccessLog>,
}
