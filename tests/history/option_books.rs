//! Option books margined on the eve of a crash, 4 February 2026, and valued again on the real chain half a
//! day and two days later.

use shortfall::backtest::chain;
use shortfall::engine::cpu::CpuEngine;
use shortfall::run::Silent;

use crate::data::root;

#[test]
fn margins_of_the_eve_cover_the_crash_in_most_option_books() {
    assert!(chain::is_revaluation(&root().join("scenarios/backtest_options.yaml")));
    assert!(!chain::is_revaluation(&root().join("scenarios/backtest.yaml")));
    let mut revaluation = chain::read(&root().join("scenarios/backtest_options.yaml")).unwrap();
    // Enough for a standard error of one or two per cent.
    assert_eq!(revaluation.scenario.simulation.paths, 65_536);
    let mut engine = CpuEngine::new(revaluation.scenario.simulation.precision);
    let revalued = chain::run(&revaluation, &mut engine, &mut Silent).unwrap();
    println!("{}", chain::text(&revalued));
    let books: Vec<_> = revalued.books.iter().filter(|book| book.has_options).collect();
    let (mut covered, mut hurt) = ([0, 0], 0);
    for book in &books {
        let worst = book.losses.iter().map(|loss| loss.loss).fold(f64::MIN, f64::max);
        hurt += usize::from(worst > 0.2 * book.losses[0].margin);
        for (count, loss) in covered.iter_mut().zip(&book.losses) {
            assert_eq!(loss.covered, loss.loss <= loss.margin);
            *count += usize::from(loss.covered);
            // Even where it was not enough, it was of the right size.
            assert!(loss.loss <= 2.0 * loss.margin, "{book:?}");
        }
    }
    assert!(books.len() >= 15, "{} books", books.len());
    // A test of covered margins needs losses.
    assert!(hurt >= 6, "{hurt} books lost");
    assert!(covered.iter().all(|n| 10 * n >= 8 * books.len()), "{covered:?} of {}", books.len());
    // Negative control: margins of another market, a tenth as volatile, do not cover.
    for asset in &mut revaluation.scenario.market.assets {
        asset.volatility_annual *= 0.1;
        (asset.own_jumps, asset.implied_volatility) = (None, None);
    }
    revaluation.scenario.market.common_jumps = None;
    let calm = chain::run(&revaluation, &mut engine, &mut Silent).unwrap();
    let short = calm.books.iter().filter(|book| book.has_options && !book.losses[1].covered).count();
    assert!(3 * short >= books.len(), "{short} of {}", books.len());
}
