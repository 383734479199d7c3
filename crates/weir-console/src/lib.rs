//! The admin API and the abuse service.
