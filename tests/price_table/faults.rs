//! Every fault has its line, its column, what was found and what would be right; all at once.

use crate::plain::PlainPricer;
use proptest::prelude::*;
use shortfall::closed_form::EuropeanOption;
use shortfall::validate::prices::{
    JumpModel, MonteCarloEstimate, MonteCarloFailure, MonteCarloPricer, price_table,
};

const BLACK: &str = "cp,strike,spot,q,r,t,vol";

fn faults(text: &str) -> shortfall::fault::Faults {
    let mut pricer = PlainPricer::new(1, 1);
    let faults = price_table(text, "t.csv", &mut pricer).expect_err(text);
    assert_eq!(pricer.calls, 0, "nothing is simulated for a faulty table");
    faults
}

/// A table of one row must have exactly one fault, in this column.
fn assert_one_fault(header: &str, row: &str, column: &str) {
    let faults = faults(&format!("# c\n{header}\n{row}\n"));
    assert_eq!(faults.as_slice().len(), 1, "{faults}");
    assert_eq!((faults.as_slice()[0].line, faults.as_slice()[0].field.as_str()), (3, column), "{faults}");
}

#[test]
fn each_cell_is_refused_by_name() {
    for (row, column) in [
        ("X,100,100,0,0,1,0.2", "column cp"),
        (",100,100,0,0,1,0.2", "column cp"),
        ("C,0,100,0,0,1,0.2", "column strike"),
        ("C,-1,100,0,0,1,0.2", "column strike"),
        ("C,NaN,100,0,0,1,0.2", "column strike"),
        ("C,100,inf,0,0,1,0.2", "column spot"),
        ("C,100,0,0,0,1,0.2", "column spot"),
        ("C,100,100,nan,0,1,0.2", "column q"),
        ("C,100,100,0,-inf,1,0.2", "column r"),
        ("C,100,100,0,5,-1,0.2", "column t"),
        ("C,100,100,0,0,1e9,0.2", "column t"),
        ("C,100,100,0,0,,0.2", "column t"),
        ("C,100,100,0,0,1,-0.2", "column vol"),
        ("C,100,100,0,0,1,20%", "column vol"),
        ("C,100,100,0,0,1,1e999", "column vol"),
        ("C,100,100,0,0,1", "row"),
        ("C,100,100,0,0,1,0.2,", "row"),
        ("C,100,100,0,0,1,\"0.2", "row"),
    ] {
        assert_one_fault(BLACK, row, column);
    }
    let kou = "cp,spot,strike,q,r,days_act365,sigma,lambda,p_up,eta1,eta2";
    for (row, column) in [
        ("C,100,100,0,0,7,0.4,5,0.4,1,10", "column eta1"),
        ("C,100,100,0,0,7,0.4,5,0.4,NaN,10", "column eta1"),
        ("C,100,100,0,0,7,0.4,5,0.4,15,0", "column eta2"),
        ("C,100,100,0,0,7,0.4,5,1.4,15,10", "column p_up"),
        ("C,100,100,0,0,7,0.4,-5,0.4,15,10", "column lambda"),
        ("C,100,100,0,0,7,0,5,0.4,15,10", "column sigma"),
        ("C,100,100,0,0,-7,0.4,5,0.4,15,10", "column days_act365"),
        ("C,100,100,0,0,0.001,0.000001,5,0.4,1.1,0.1", "model and expiry"),
    ] {
        assert_one_fault(kou, row, column);
    }
    let haug = "cp,strike,spot,q,r,t,total_vol,lambda,gamma";
    for (row, column) in [
        ("C,100,100,0,0,1,0.25,1,1.5", "column gamma"),
        ("C,100,100,0,0,1,0.25,0,0.5", "column lambda"),
        ("C,100,100,0,0,1,100,1,0.5", "jump size"),
    ] {
        assert_one_fault(haug, row, column);
    }
    let merton = "cp,strike,spot,q,r,t,sigma,lambda,mean_log_jump,sd_log_jump";
    for (row, column) in [
        ("C,100,100,0,0,1,0.25,1,-50,0.1", "column mean_log_jump"),
        ("C,100,100,0,0,1,0.25,1,0,-0.1", "column sd_log_jump"),
        ("C,100,100,0,0,100,0.25,1000000,0,0.1", "model and expiry"),
    ] {
        assert_one_fault(merton, row, column);
    }
}

#[test]
fn all_faults_are_reported_together() {
    let text =
        format!("{BLACK}\nX,0,100,0,0,1,0.2\nC,100,100,0,0,1,0.2\nC,100,100,0,0,1\nP,100,NaN,0,0,-1,0.2\n");
    let faults = faults(&text);
    let places: Vec<(u64, &str)> = faults.as_slice().iter().map(|f| (f.line, f.field.as_str())).collect();
    let expected = [(2, "column strike"), (2, "column cp"), (4, "row"), (5, "column spot"), (5, "column t")];
    assert_eq!(places, expected, "{faults}");
    let shown = faults.to_string();
    assert!(shown.starts_with("5 faults in the input:"), "{shown}");
    assert!(shown.contains("t.csv:2: column cp: found \"X\"; expected C (call) or P (put)"), "{shown}");
}

#[test]
fn headers_that_cannot_be_read() {
    for (text, part) in [
        ("", "expected a header and at least one row"),
        ("# only a comment", "expected a header and at least one row"),
        ("\n\n", "expected a header and at least one row"),
        ("cp,strike,spot,q,r,t,vol\n", "a header without rows"),
        ("cp,strike,spot,q,r,t\nC,1,1,0,0,1\n", "nearest header lacks vol"),
        ("a;b\n1;2\n", "cp,strike,spot,q,r,t,sigma,lambda,p_up,eta1,eta2 (Kou)"),
        ("cp,strike,spot,q,r,t,vol,vol\nC,1,1,0,0,1,1,1\n", "column vol twice"),
        ("cp,strike,spot,q,r,t,days_act365,vol\nC,1,1,0,0,1,1,1\n", "both t and days_act365"),
        ("cp,strike,spot,q,r,t,vol,value\nC,1,1,0,0,1,1,1\n", "a column value"),
        (
            "cp,strike,spot,q,r,t,vol,total_vol,lambda,gamma\nC,1,1,0,0,1,1,1,1,0\n",
            "columns of 2 models at once",
        ),
    ] {
        let shown = faults(text).to_string();
        assert!(shown.contains(part), "{text:?}: {shown}");
    }
}

#[test]
fn lines_are_counted_through_comments_blanks_and_line_ends() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["# c", "# d", BLACK, "", "C,100,100,0,0,1,0.2", "C,100,100,0,0,1,x"].join(end);
        assert_eq!(faults(&text).as_slice()[0].line, 6, "{end:?}");
    }
    let quoted_line_end = format!("{BLACK},note\nC,100,100,0,0,1,0.2,\"a\nb\"\nC,100,100,0,0,1,x,\n");
    assert_eq!(faults(&quoted_line_end).as_slice()[0].line, 4);
}

#[test]
fn a_million_rows_and_no_more() {
    let mut text = format!("{BLACK}\n");
    text.push_str(&"C,100,100,0,0,1,x\n".repeat(1_000_001));
    let faults = faults(&text);
    assert_eq!(faults.as_slice().len(), 1000);
    assert_eq!(faults.count(), 1_000_001);
}

/// A double that answers what it is told to.
struct Told(Result<Vec<MonteCarloEstimate>, MonteCarloFailure>);

impl MonteCarloPricer for Told {
    fn price(
        &mut self,
        _: &[EuropeanOption],
        _: &JumpModel,
    ) -> Result<Vec<MonteCarloEstimate>, MonteCarloFailure> {
        self.0.clone()
    }
}

#[test]
fn a_simulation_that_fails_or_answers_nonsense_is_a_fault() {
    let text = format!("{BLACK}\nC,100,100,0,0,1,0.2\n");
    let estimate = |mean, standard_error| Ok(vec![MonteCarloEstimate { mean, standard_error }]);
    for (answer, part) in [
        (Err(MonteCarloFailure { reason: "no device".to_owned() }), "t.csv:2: simulation: found no device"),
        (Ok(Vec::new()), "0 estimates for 1 options"),
        (estimate(f64::NAN, 0.1), "column mc_value: found NaN"),
        (estimate(1.0, f64::NAN), "column mc_standard_error: found NaN"),
        (estimate(1.0, -0.1), "column mc_standard_error: found -0.1"),
    ] {
        let shown = price_table(&text, "t.csv", &mut Told(answer)).expect_err(part).to_string();
        assert!(shown.contains(part), "{shown}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = price_table(&String::from_utf8_lossy(&bytes), "fuzz.csv", &mut PlainPricer::new(1, 1));
    }

    #[test]
    fn random_cells_never_panic(rows in "([#CP0-9eEinfNaN.,\"\r\n -]|\u{e9}){0,200}") {
        for header in shortfall::validate::prices::RECOGNISED_HEADERS {
            let header = header.split(' ').next().unwrap_or_default();
            let _ = price_table(&format!("{header}\n{rows}"), "fuzz.csv", &mut PlainPricer::new(1, 1));
        }
    }

    /// Wild numbers in every cell: a fault or a finite price, never a panic.
    #[test]
    fn wild_numbers_are_refused_or_priced(cells in proptest::collection::vec(wild(), 10), put in any::<bool>()) {
        let cp = if put { "P" } else { "C" };
        for header in shortfall::validate::prices::RECOGNISED_HEADERS {
            let header = header.split(' ').next().unwrap_or_default();
            let columns = header.split(',').count();
            let row = cells[..columns - 1].iter().map(|c| format!(",{c:e}")).collect::<String>();
            let zero = Ok(vec![MonteCarloEstimate { mean: 0.0, standard_error: 0.0 }]);
            let _ = price_table(&format!("{header}\n{cp}{row}\n"), "fuzz.csv", &mut Told(zero));
        }
    }
}

fn wild() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -1.0..5.0f64, Just(0.0), Just(-0.0), 0.0..100.0f64, Just(f64::MIN_POSITIVE)]
}
