//! `shortfall serve`, `whatif` and `keys` as a user runs them.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::night::Night;

fn shortfall() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shortfall"));
    command.env_remove("SHORTFALL_KEY");
    command
}

/// A service in a process of its own.
pub struct Process {
    child: Child,
    pub url: String,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Process {
    fn start(night: &Night, arguments: &[&str]) -> Self {
        Self::start_by(shortfall(), night, arguments)
    }

    /// Starts it by a command that has its environment.
    pub fn start_by(mut command: Command, night: &Night, arguments: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--bind", "127.0.0.1:0", "--paths", "4096", "--log-level", "debug"])
            .arg(night.path("quickstart.yaml"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let log = Arc::new(Mutex::new(String::new()));
        let (error, into) = (child.stderr.take().expect("piped"), Arc::clone(&log));
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(error).lines().map_while(Result::ok) {
                *into.lock().unwrap() += &(line + "\n");
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let url =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("found {line}")).to_owned();
        Self { child, url, log, reading: Some(reading) }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Asks it to stop; its exit code and its log.
    pub fn stop(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        let code = self.child.wait().expect("ended").code();
        self.reading.take().expect("kept").join().expect("read");
        (code, self.log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(output: &Output) -> (String, String) {
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_key_is_made_used_and_removed_and_never_logged() {
    let night = Night::new();
    let file = night.path("keys.json").display().to_string();
    let made = shortfall().args(["keys", "add", &file, "--role", "read"]).output().unwrap();
    let key = text(&made).0.trim().to_owned();
    assert!(made.status.success() && key.starts_with("sfk_"), "{made:?}");
    let (id, secret) = key[4..].split_once('_').unwrap();

    let process = Process::start(&night, &["--keys", &file]);
    let whatif = |key: Option<&str>| {
        let mut command = shortfall();
        command.args(["whatif", "--server", &process.url, "--account", "market-maker"]);
        command.args(["BTC-27MAR26-80000-C", "+10", "BTC-PERPETUAL", "-20000"]);
        command.envs(key.map(|key| ("SHORTFALL_KEY", key)));
        command
    };
    let table = whatif(Some(&key)).output().unwrap();
    let (out, error) = text(&table);
    assert!(table.status.success(), "{error}");
    for word in ["market-maker", "before", "difference", "initial margin", "ES 99% 2d", "health", "state"] {
        assert!(out.contains(word), "{word} is not in\n{out}");
    }
    let json = whatif(Some(&key)).arg("--json").output().unwrap();
    let answer: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(answer["account"], "market-maker");
    assert_ne!(answer["before"]["initial_margin"], answer["after"]["initial_margin"]);

    let refused = whatif(None).output().unwrap();
    assert_eq!(refused.status.code(), Some(65), "{refused:?}");
    let wrong = format!("sfk_{id}_{}", "0".repeat(64));
    let refused = whatif(Some(&wrong)).output().unwrap();
    assert!(text(&refused).1.contains("the key is not known here"), "{refused:?}");

    assert!(shortfall().args(["keys", "remove", &file, id]).output().unwrap().status.success());
    process.signal("HUP");
    crate::server::wait_until("the key is refused", || {
        whatif(Some(&key)).output().unwrap().status.code() == Some(65)
    });
    let (code, log) = process.stop();
    assert_eq!(code, Some(0), "{log}");
    for word in [secret, &"0".repeat(64)] {
        assert!(!log.contains(word), "a secret is in the log:\n{log}");
    }
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let request = lines.iter().find(|line| line["status"] == 200).expect("a request in the log");
    assert_eq!((&request["route"], &request["client"]), (&"/v1/what-ifs".into(), &id.into()));
    assert!(request["request_id"].is_string() && request["milliseconds"].is_number(), "{request}");
    assert!(lines.iter().any(|line| line["status"] == 401), "refusals are logged");
}

#[test]
fn command_lines_that_cannot_be_are_told_so() {
    let night = Night::new();
    let scenario = night.path("quickstart.yaml").display().to_string();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["serve", &scenario, "--paths", "64", "--bind", "0.0.0.0:0"], 2, "shortfall keys add"),
        (&["serve", "nowhere.yaml"], 65, "nowhere.yaml"),
        (&["serve", &scenario, "--tls-certificate", "x.pem"], 2, "--tls-key"),
        (&["whatif", "BTC"], 2, "QUANTITY"),
        (&["whatif", "BTC", "ten"], 2, "INSTRUMENT QUANTITY"),
        (&["whatif", "--server", "http://127.0.0.1:9", "BTC", "1"], 75, "http://127.0.0.1:9/v1/what-ifs"),
    ];
    for (arguments, code, word) in cases {
        let output = shortfall().args(arguments).output().unwrap();
        let (_, error) = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(word), "{word} is not in {error}");
    }
    let mut leaky = shortfall();
    leaky
        .args(["whatif", "--server", "http://10.0.0.1:1", "BTC", "1"])
        .env("SHORTFALL_KEY", "sfk_0_tell-nobody");
    let output = leaky.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).1.contains("without TLS") && !text(&output).1.contains("tell-nobody"));
}
