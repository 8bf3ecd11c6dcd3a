//! What formulas may name: quantities of the book, parameters, inputs, components, and what is true
//! of one scenario.

/// Levels of a book, the finest first. A position lies in a strike, a strike in an expiry, an expiry
/// in an underlying, an underlying in the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// One position.
    Position,
    /// The options of one strike; any other position is a strike of its own.
    Strike,
    /// One expiry of an underlying; its perpetuals, and its collateral, are an expiry each.
    Expiry,
    /// One underlying.
    Underlying,
    /// The whole book.
    Book,
}

/// All levels, in order.
pub const LEVELS: [Level; 5] =
    [Level::Position, Level::Strike, Level::Expiry, Level::Underlying, Level::Book];
/// Their words in a rulebook.
pub const LEVEL_WORDS: [&str; 5] = ["position", "strike", "expiry", "underlying", "book"];

/// A quantity that a formula names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Symbol {
    /// Of the book.
    Given(Given),
    /// A parameter of the rulebook, by its index.
    Parameter(usize),
    /// An input of the rulebook, by its index.
    Input(usize),
    /// An earlier component, by its index.
    Component(usize),
    /// Of a scenario.
    Shocked(Shocked),
}

macro_rules! quantities {
    ($(#[$meta:meta])* $name:ident: $($variant:ident $word:literal $level:ident $additive:literal $doc:literal;)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = $doc] $variant,)*
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in a formula.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The level at which it is known; finer ones see it too.
            pub fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)* }
            }

            /// Whether coarser levels see its sum.
            pub fn is_additive(self) -> bool {
                match self { $(Self::$variant => $additive,)* }
            }
        }
    };
}

quantities! {
    /// Quantities of a book. Money in US dollars.
    Given:
    Cash "cash" Book false "Cash of the book.";
    Spot "spot" Underlying false "Price of the underlying (its index).";
    Seconds "seconds" Expiry false "Seconds to expiry, at least 0; 0 for what does not expire.";
    Days "days" Expiry false "Days to expiry.";
    Years "years" Expiry false "Years of 365 days to expiry.";
    Forward "forward" Expiry false "Forward price; the spot price where nothing expires.";
    Discount "df" Expiry false "Discount factor; 1 where nothing expires.";
    Rate "rate" Expiry false "Rate, continuously compounded; 0 where nothing expires.";
    Dated "dated" Expiry false "1 for an expiry, 0 for perpetuals and collateral.";
    IsPerpetual "perpetual" Expiry false "1 for perpetuals.";
    IsCollateral "collateral" Expiry false "1 for collateral.";
    Strike "strike" Strike false "Strike; 0 where there is none.";
    IsOption "option" Strike false "1 for options.";
    IsCall "call" Position false "1 for calls.";
    IsPut "put" Position false "1 for puts.";
    IsFuture "future" Position false "1 for dated futures.";
    IsInverse "inverse" Position false "1 for what pays in the coin.";
    Volatility "vol" Position false "Annual implied volatility; 0 where there is none.";
    Price "price" Position false "What one unit costs: the given mark, else Black-76 (options), the forward (futures), the spot price.";
    Entry "entry" Position false "Price at which a future was entered.";
    UnitDelta "unit_delta" Position false "Delta of one unit, in coins: given, else df N(d1) (options), 1.";
    Quantity "quantity" Position true "Units held, negative for a short.";
    Value "value" Position true "What it is worth: options and collateral quantity times price; futures what they have made since their entry, and funding.";
    Delta "delta" Position true "Delta in coins.";
    Gamma "gamma" Position true "Second derivative by the forward, in coins per dollar.";
    Vega "vega" Position true "Dollars per 1.00 of volatility.";
    Theta "theta" Position true "Dollars per year of passing time, the forward and volatility held.";
    Funding "funding" Position true "Unrealised funding of a perpetual.";
}

quantities! {
    /// Quantities of one scenario, known to the formulas of a scan.
    Shocked:
    Move "move" Position false "The scenario's price move.";
    Weight "weight" Position false "The scenario's weight.";
    Black "black" Position false "Undiscounted Black-76 value of one option at the shocked forward and volatility.";
    BlackDelta "black_delta" Position false "Its derivative by that forward.";
    Forward "shocked_forward" Position false "The shocked forward.";
    ShockedValue "shocked" Expiry false "Sum of the shocked values of an expiry's options.";
    BaseValue "base" Expiry false "Sum of their values without a shock.";
    Profit "pnl" Underlying false "Profit of everything in the scenario.";
}
