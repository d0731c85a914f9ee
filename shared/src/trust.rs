//! Whom to trust where nothing else is said: the machine's certificates, or Mozilla's where it has none.

use rustls::RootCertStore;

/// The machine's certificate authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` count); a machine without any
/// gets Mozilla's list as it was when the program was built.
pub fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        log::warn!("some of this machine's certificate authorities can't be read: {error}");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        log::warn!(
            "this machine has no certificate authorities; the built-in list is used: install ca-certificates"
        );
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
