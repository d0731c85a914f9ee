//! TLS to PostgreSQL with the meanings that libpq gives to sslmode.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::printable::printable;

/// How much of the server is verified: sslmode, named by what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verify {
    /// No TLS.
    Disable,
    /// TLS where the server offers it, unverified.
    Prefer,
    /// TLS, unverified.
    Require,
    /// The certificate's authority.
    Authority,
    /// The certificate's authority and name.
    Full,
}

impl Verify {
    /// As in libpq, `require` with a root certificate verifies the authority.
    pub(super) fn of_sslmode(mode: &str, has_root_certificate: bool) -> Option<Verify> {
        Some(match mode {
            "disable" => Verify::Disable,
            "prefer" => Verify::Prefer,
            "require" if has_root_certificate => Verify::Authority,
            "require" => Verify::Require,
            "verify-ca" => Verify::Authority,
            "verify-full" => Verify::Full,
            _ => return None,
        })
    }
}

pub(super) fn connector(
    verify: Verify,
    root_certificates: Option<&Path>,
) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be set up: {error}"))?;
    let config = match verify {
        Verify::Full => builder.with_root_certificates(roots(root_certificates)?),
        Verify::Disable | Verify::Prefer | Verify::Require => {
            let unverified = Lenient { provider, authority: None };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(unverified))
        }
        Verify::Authority => {
            let roots = Arc::new(roots(root_certificates)?);
            let authority = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .map_err(|error| format!("sslrootcert can't be used: {error}"))?;
            let any_name = Lenient { provider, authority: Some(authority) };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(any_name))
        }
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let Some(file) = file else { return Ok(crate::trust::system_roots()) };
    let explain = |error: &dyn std::fmt::Display| {
        format!(
            "sslrootcert {} can't be used: {error}; name a readable PEM file of certificates",
            printable(&file.to_string_lossy())
        )
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| explain(&error))? {
        let certificate = certificate.map_err(|error| explain(&error))?;
        roots.add(certificate).map_err(|error| explain(&error))?;
    }
    if roots.is_empty() { Err(explain(&"it holds no certificate")) } else { Ok(roots) }
}

/// Verifies less than rustls does by itself: the authority without the name, or nothing.
/// Signatures are always verified, so that the peer does hold the key of the certificate it shows.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last: the authority was found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
