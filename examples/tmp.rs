use shortfall::*;
struct M;
impl run::Monitor for M {
    fn case(&mut self, n: &str, i: usize, of: usize, _: u64) {
        eprintln!("case {}/{} {n}", i + 1, of);
    }
    fn done(&mut self, _: u64) {}
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut s = match scenario::read(std::path::Path::new(&a[1])) {
        Ok(s) => s,
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(65)
        }
    };
    if let Some(p) = a.get(2) {
        s.simulation.paths = p.parse().unwrap();
    }
    if let Some(p) = a.get(3) {
        if p == "f64" {
            s.simulation.precision = scenario::Precision::F64;
        }
    }
    if a.get(4).is_some() {
        s.stresses.clear();
    }
    let mut e = engine::cpu::CpuEngine::new(s.simulation.precision);
    let o = run::run(&s, &mut e, &mut M).unwrap();
    for c in &o.cases {
        println!("== {} paths {} steps {} repaired {} {:?}", c.name, c.paths, c.steps, c.repaired, c.elapsed);
        if c.name != "base" {
            continue;
        }
        for x in c.accounts.as_ref().unwrap() {
            let ac = &s.portfolio.accounts[x.account];
            println!(
                "{:22} mv {:14.0} eq {:14.0} gross {:14.0} ES {:14.2} ± {:8.2} VaR {:14.2} ± {:8.2} IM {:12.0} health {:?} {:?}",
                ac.name,
                x.value.market_value,
                x.value.equity,
                x.value.gross_notional,
                x.maintenance.expected_shortfall,
                x.maintenance.expected_shortfall_error,
                x.maintenance.value_at_risk,
                x.maintenance.value_at_risk_error,
                x.margin.initial_margin,
                x.margin.health.map(|h| (h * 100.).round() / 100.),
                x.driver.map(|d| (
                    s.market.assets[d.asset].name.clone(),
                    (d.mean_return * 1e4).round() / 1e2,
                    (d.share * 100.).round()
                ))
            );
        }
    }
}
