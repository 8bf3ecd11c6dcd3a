//! Who may do what, and what a foreign page may not.

use serde_json::json;
use shortfall::service::http::{Options, ServeFault, start};
use shortfall::service::keys::{Accounts, Keys, Role};

use crate::night::Night;
use crate::server::{Server, read_all};

struct Locked {
    server: Server,
    keys: Vec<(Role, String)>,
    file: std::path::PathBuf,
    _night: Night,
}

fn locked() -> Locked {
    let night = Night::new();
    let file = night.path("keys.json");
    let key = |role| (role, Keys::add(&file, role, Accounts::parse("market-maker,new-*").unwrap()).unwrap());
    let keys = Role::ALL.map(key).to_vec();
    let server = Server::with(&night, |options| options.keys = Some(file.clone()));
    Locked { server, keys, file, _night: night }
}

impl Locked {
    fn status(&self, role: Role, method: &str, path: &str, body: Option<&str>) -> u16 {
        let key = &self.keys.iter().find(|(known, _)| *known == role).unwrap().1;
        let authorization = format!("Bearer {key}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        self.server.ask(method, path, &headers, body.map(str::as_bytes)).status
    }
}

/// What each role gets: read, trade, market, admin.
#[test]
fn roles_and_accounts_decide() {
    let locked = locked();
    let book = Some("{}");
    let what_if =
        json!({"account": "market-maker", "orders": [{"instrument": "BTC", "quantity": 1.0}]}).to_string();
    let foreign = json!({"account": "basis-trade", "orders": []}).to_string();
    let batch = json!({"what_ifs": [{"account": "basis-trade"}]}).to_string();
    let hedge = json!({"account": "basis-trade", "instruments": ["BTC"]}).to_string();
    let as_of = locked.server.desk.status().market.as_of;
    let update = json!({"as_of": as_of, "assets": []}).to_string();
    let table: [(&str, &str, Option<&str>, [u16; 4]); 22] = [
        ("GET", "/v1/accounts", None, [200; 4]),
        ("GET", "/v1/accounts/market-maker", None, [200; 4]),
        ("GET", "/v1/accounts/market-maker/margin", None, [200; 4]),
        ("GET", "/v1/accounts/basis-trade", None, [403; 4]),
        ("GET", "/v1/accounts/basis-trade/margin", None, [403; 4]),
        ("GET", "/v1/accounts/nobody", None, [403; 4]),
        ("GET", "/v1/accounts/basis-trade/distribution", None, [403; 4]),
        ("GET", "/v1/accounts/basis-trade/explanation?market_version=1", None, [403; 4]),
        ("GET", "/v1/accounts/basis-trade/revisions", None, [403; 4]),
        ("GET", "/v1/accounts/basis-trade?revision=1", None, [403; 4]),
        ("POST", "/v1/what-ifs", Some(&what_if), [200; 4]),
        ("POST", "/v1/what-ifs", Some(&foreign), [403; 4]),
        ("POST", "/v1/what-ifs/batch", Some(&batch), [403; 4]),
        ("POST", "/v1/hedges", Some(&hedge), [403; 4]),
        ("PUT", "/v1/accounts/new-one", book, [403, 200, 403, 200]),
        ("PUT", "/v1/accounts/basis-trade", book, [403; 4]),
        ("DELETE", "/v1/accounts/basis-trade", None, [403; 4]),
        ("PATCH", "/v1/market", Some(&update), [403, 403, 200, 200]),
        ("GET", "/v1/snapshot", None, [403, 403, 403, 200]),
        ("GET", "/v1/events?accounts=basis-trade", None, [403; 4]),
        ("GET", "/v1/results?account=basis-trade", None, [403; 4]),
        ("GET", "/metrics", None, [200; 4]),
    ];
    for (method, path, body, expected) in table {
        let found = Role::ALL.map(|role| locked.status(role, method, path, body));
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn without_a_key_nothing_is_told_but_health() {
    let locked = locked();
    let server = &locked.server;
    for path in ["/", "/docs", "/openapi.json", "/livez", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let document = server.get("/openapi.json").ok();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in
            methods.as_object().unwrap().keys().filter(|_| path.starts_with("/v1") || path == "/metrics")
        {
            let path = path.replace("{account}", "market-maker").replace("{version}", "1");
            let headers = [("content-type", "application/json")];
            let answer = server.ask(&method.to_uppercase(), &path, &headers, Some(b"{}"));
            let problem = answer.problem(401);
            assert_eq!(problem["type"], "urn:shortfall:unauthorized", "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
    let wrong = "Bearer sfk_0123456789abcdef_0123";
    for authorization in [wrong, "Basic YTpi", "Bearer", "", "Bearer \u{7f}"] {
        if let Ok(value) = ureq::http::HeaderValue::from_str(authorization) {
            let value = value.to_str().unwrap_or_default();
            assert_eq!(server.ask("GET", "/v1/accounts", &[("authorization", value)], None).status, 401);
        }
    }
    let text = server.ask("GET", "/v1/accounts", &[("authorization", wrong)], None).text;
    assert!(!text.contains("sfk_"), "the key is in {text}");
}

#[test]
fn a_list_holds_only_accounts_that_the_key_sees() {
    let locked = locked();
    let authorization = format!("Bearer {}", locked.keys[0].1);
    let list = locked.server.ask("GET", "/v1/accounts", &[("authorization", &authorization)], None).ok();
    assert_eq!(list["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(list["accounts"][0]["account"], "market-maker");
}

#[test]
fn it_does_not_start_open_to_the_network() {
    let night = Night::new();
    let desk = || std::sync::Arc::new(shortfall::service::Desk::open(night.served()).unwrap());
    let open = Options { bind: "0.0.0.0:0".parse().unwrap(), ..Options::default() };
    assert!(matches!(start(desk(), &open), Err(ServeFault::KeysNeeded(_))));
    let empty = night.path("empty.json");
    std::fs::write(&empty, "{\"keys\": []}").unwrap();
    let options = Options { keys: Some(empty), ..open.clone() };
    assert!(matches!(start(desk(), &options), Err(ServeFault::NoKeys(_))));
    let broken = night.path("broken.json");
    std::fs::write(&broken, "{\"keys\": [{\"secret\": \"do-not-tell\"}]}").unwrap();
    let options = Options { keys: Some(broken), ..open };
    match start(desk(), &options) {
        Err(ServeFault::Keys(fault)) => assert!(!fault.to_string().contains("do-not-tell"), "{fault}"),
        _ => panic!("a broken file of keys was taken"),
    }
}

#[test]
fn foreign_pages_are_refused() {
    let server = Server::new();
    let rebound = server.raw("GET /v1/accounts HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(read_all(rebound).starts_with("HTTP/1.1 421"));
    let nameless = server.raw("GET /livez HTTP/1.0\r\n\r\n");
    assert!(read_all(nameless).starts_with("HTTP/1.0 421"));
    for (name, value) in
        [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
    {
        assert_eq!(
            server.ask("GET", "/v1/accounts", &[(name, value)], None).problem(403)["type"],
            "urn:shortfall:cross-site"
        );
        assert_eq!(server.ask("GET", "/v1/events", &[(name, value)], None).status, 403, "{name}: {value}");
    }
    let own = format!("http://{}", server.authority());
    assert_eq!(server.ask("GET", "/v1/accounts", &[("origin", &own)], None).status, 200);
    let page = server.get("/");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(page.headers.get("access-control-allow-origin").is_none());
    for file in ["/", "/docs", "/assets/dashboard.js", "/assets/dashboard.css", "/assets/docs.js"] {
        let text = server.get(file).text;
        for outside in ["http://", "https://", "//cdn", "@import", "eval(", "innerHTML", "style=", "onclick="]
        {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(outside), "{file} has {outside}");
        }
    }
}

#[test]
fn request_ids_are_taken_if_they_are_plain() {
    let locked = locked();
    let given = locked.server.ask("GET", "/livez", &[("x-request-id", "order-17.a")], None);
    assert_eq!(given.header("x-request-id"), "order-17.a");
    let hostile = locked.server.ask("GET", "/livez", &[("x-request-id", "\"};alert(1)")], None);
    assert_ne!(hostile.header("x-request-id"), "\"};alert(1)");
    assert!(!hostile.header("x-request-id").is_empty());
    assert!(locked.file.exists());
}
