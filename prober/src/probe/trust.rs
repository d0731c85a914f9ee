//! Whose certificates are good: the system's authorities, or a target's own instead of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use rustls::{
    ClientConfig, RootCertStore,
    client::{Resumption, WebPkiServerVerifier},
    crypto::ring::default_provider,
    pki_types::CertificateDer,
};

use shared::trust::system_roots;

use super::pinned::Pinned;

type Authorities = Vec<CertificateDer<'static>>;
type Made = (Weak<Authorities>, Arc<ClientConfig>);

/// One TLS configuration for each set of authorities: building one is far too dear for every check.
#[derive(Debug)]
pub(super) struct Trust {
    system: Arc<ClientConfig>,
    /// By the address of the set, which no other set can have while a `Weak` to it is held.
    own: Mutex<HashMap<usize, Made>>,
}

impl Trust {
    /// Reads the system's authorities; where it has none, those that browsers trust, as they were compiled in.
    pub(super) fn load() -> Trust {
        Trust { system: Arc::new(config(system_roots())), own: Mutex::default() }
    }

    /// What `authorities` vouch for, or the system's where there are none. Sets dropped elsewhere are dropped
    /// here as soon as a new one comes.
    pub(super) fn of(&self, authorities: Option<&Arc<Authorities>>) -> Arc<ClientConfig> {
        let Some(authorities) = authorities else { return self.system.clone() };
        // A panic while the lock was held can't leave a half-made entry behind.
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Arc::as_ptr(authorities).addr();
        if let Some((_, config)) = own.get(&key) {
            return config.clone();
        }
        own.retain(|_, (set, _)| set.strong_count() > 0);
        let made = Arc::new(pinning(authorities));
        own.insert(key, (Arc::downgrade(authorities), made.clone()));
        made
    }
}

fn roots(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    roots
}

/// No session is resumed: each check is an honest handshake with a certificate to look at.
fn config(roots: RootCertStore) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn pinning(authorities: &Authorities) -> ClientConfig {
    let roots = roots(authorities.iter().cloned());
    let builder =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::new(default_provider()));
    let mut config = config(roots);
    // Without a single usable certificate there is no such verifier, and the plain one trusts nobody.
    if let Ok(webpki) = builder.build() {
        let pinned = Pinned { webpki, listed: authorities.clone() };
        config.dangerous().set_certificate_verifier(Arc::new(pinned));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_authorities_is_made_into_a_configuration_once_and_goes_with_its_owner() {
        let trust = Trust { system: Arc::new(config(RootCertStore::empty())), own: Mutex::default() };
        let first = Arc::new(Authorities::new());
        assert!(Arc::ptr_eq(&trust.of(Some(&first)), &trust.of(Some(&first))));
        assert!(!Arc::ptr_eq(&trust.of(Some(&first)), &trust.of(None)));
        drop(first);
        let second = Arc::new(Authorities::new());
        trust.of(Some(&second));
        assert_eq!(trust.own.lock().unwrap().len(), 1);
    }
}
