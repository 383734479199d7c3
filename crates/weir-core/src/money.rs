//! Money: US dollars as they are written, millionths of them as they are counted.

/// The smallest budget above nothing, in US dollars: spending is counted in millionths, and what is less is none.
pub const BUDGET_USD_MIN: f64 = 0.000_001;

/// Why an amount can be no budget. The text follows the word "it".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetFault {
    /// Below zero, or no number.
    #[error("must be an amount of money, 0 or above")]
    NoAmount,
    /// Above zero, but less than is counted.
    #[error(
        "must be 0, for nothing that costs, or at least 0.000001 US dollars: less is not counted; leave it out for no limit"
    )]
    TooSmall,
}

/// Whether this may be the budget of a key, in US dollars.
///
/// # Errors
/// It is no amount, or one that would count as nothing.
pub fn check_budget(usd: f64) -> Result<(), BudgetFault> {
    match usd {
        usd if !usd.is_finite() || usd < 0.0 => Err(BudgetFault::NoAmount),
        usd if usd > 0.0 && usd < BUDGET_USD_MIN => Err(BudgetFault::TooSmall),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_nothing_or_as_much_as_is_counted() {
        for usd in [0.0, -0.0, 0.000_001, 0.000_001_5, 25.0, 1e12] {
            assert_eq!(check_budget(usd), Ok(()), "{usd}");
        }
        for usd in [0.000_000_9, 1e-7, f64::MIN_POSITIVE, 5e-324] {
            assert_eq!(check_budget(usd), Err(BudgetFault::TooSmall), "{usd}");
        }
        for usd in [-1.0, -1e-9, f64::NAN, f64::INFINITY] {
            assert_eq!(check_budget(usd), Err(BudgetFault::NoAmount), "{usd}");
        }
    }
}
