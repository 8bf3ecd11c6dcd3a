//! The greeks into which a loss is split.

/// A cause of profit and loss. The parts of one instrument's profit on one path add up to it.
///
/// With `V(t, s, b, v)` the value after a time `t`, at spot `s`, annualised basis `b` and the
/// implied volatility `v` of the option's own strike, all at their values on the path (capitals) or
/// as they are today (0), `r` the simple return of spot and `H` the horizon or an earlier expiry:
///
/// | greek    | an option                                    | spot and futures                  |
/// |----------|----------------------------------------------|-----------------------------------|
/// | delta    | `V_r r`                                      | the profit less theta, basis, funding |
/// | gamma    | `V_rr r^2 / 2`                               | 0                                 |
/// | vega     | `V(H,S,B,V) - V(H,S,B,0)`                    | 0                                 |
/// | theta    | `V(H,0,0,0) - V(0,0,0,0)`                    | likewise: the basis converging    |
/// | basis    | `V(H,S,B,0) - V(H,S,0,0)`                    | likewise                          |
/// | funding  | 0                                            | what a perpetual pays             |
/// | the rest | `V(H,S,0,0) - V(H,0,0,0)` less delta and gamma | 0                               |
///
/// `V_r` and `V_rr` are Black's, today. Vega is the whole effect of the strike's implied volatility
/// on the path: the shift of the level, and under sticky moneyness the move along the smile. The
/// rest is what a jump costs beyond delta and gamma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Greek {
    /// First order in spot.
    Delta,
    /// Second order in spot.
    Gamma,
    /// Implied volatility.
    Vega,
    /// Time.
    Theta,
    /// Change of the basis.
    Basis,
    /// Funding of perpetuals.
    Funding,
    /// What delta and gamma do not explain of the move of spot.
    JumpAndHigherOrder,
}

/// Number of greeks.
pub const GREEKS: usize = 7;

impl Greek {
    /// All of them in the order of their numbers.
    pub const ALL: [Self; GREEKS] = [
        Self::Delta,
        Self::Gamma,
        Self::Vega,
        Self::Theta,
        Self::Basis,
        Self::Funding,
        Self::JumpAndHigherOrder,
    ];

    /// As reports show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Gamma => "gamma",
            Self::Vega => "vega",
            Self::Theta => "theta",
            Self::Basis => "basis",
            Self::Funding => "funding",
            Self::JumpAndHigherOrder => "jump_and_higher_order",
        }
    }
}

/// What splitting one row's profit needs. Money in US dollars for one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowSplit {
    /// First derivative today by the simple return of spot; options only.
    pub delta: f64,
    /// Second derivative, likewise.
    pub gamma: f64,
    /// Total variance of an option's strike today, over the life that remains.
    pub variance: f64,
    /// What funding pays over the horizon.
    pub funding: f64,
}
