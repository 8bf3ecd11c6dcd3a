//! TLS: a handshake with a certificate of our own, and none without it.

use shortfall::service::client::{Client, ClientFault};
use shortfall::service::http::{ServeFault, TlsFiles};
use shortfall::service::keys::{Accounts, Keys, Role};

use crate::night::Night;
use crate::server::{Server, read_all};

fn certificate(night: &Night) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let files = TlsFiles { certificate: night.path("chain.pem"), key: night.path("key.pem") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

#[test]
fn a_client_that_trusts_the_certificate_is_answered() {
    let night = Night::new();
    let files = certificate(&night);
    let trusted = files.certificate.clone();
    let keys = night.path("keys.json");
    let key = Keys::add(&keys, Role::Read, Accounts::all()).unwrap();
    let server = Server::with(&night, |options| {
        options.tls = Some(files);
        options.keys = Some(keys);
    });
    assert!(server.url().starts_with("https://"));
    let client = Client::new(server.url(), Some(key.clone()), Some(&trusted)).unwrap();
    assert_eq!(client.accounts().unwrap().accounts.len(), 6);
    // Another certificate of the same name is not the one that is trusted.
    let other = Night::new();
    let other = certificate(&other).certificate;
    let stranger = Client::new(server.url(), Some(key.clone()), Some(&other)).unwrap();
    match stranger.accounts() {
        Err(fault @ ClientFault::Transport { .. }) => assert!(!fault.to_string().contains(&key), "{fault}"),
        other => panic!("{other:?}"),
    }
    // Clear text gets no answer.
    let plain = server.raw("GET /v1/accounts HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!read_all(plain).contains("HTTP/1.1 200"));
}

#[test]
fn a_key_that_does_not_fit_is_refused_and_not_shown() {
    let night = Night::new();
    let files = certificate(&night);
    let other = Night::new();
    let mixed = TlsFiles { certificate: certificate(&other).certificate, key: files.key.clone() };
    let swapped = TlsFiles { certificate: files.key.clone(), key: files.certificate.clone() };
    let secret = std::fs::read_to_string(&files.key).unwrap();
    let secret_line = secret.lines().nth(1).unwrap();
    for files in [mixed, swapped] {
        let desk = std::sync::Arc::new(shortfall::service::Desk::open(night.served()).unwrap());
        let options = shortfall::service::http::Options {
            bind: "127.0.0.1:0".parse().unwrap(),
            tls: Some(files),
            ..Default::default()
        };
        match shortfall::service::http::start(desk, &options) {
            Err(fault @ ServeFault::Tls(_)) => assert!(!fault.to_string().contains(secret_line)),
            _ => panic!("wrong files were taken"),
        }
    }
}
