//! `ca_file`: certificates that a service is trusted by instead of the system's, read once when the file is.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::section::Entry;
use shared::written::file;

/// A system's whole bundle is a quarter of it.
const LONGEST_FILE: u64 = 1024 * 1024;

/// What a file holds, or what is wrong with it.
pub(super) type Certificates = Result<Arc<Vec<CertificateDer<'static>>>, String>;

/// The certificates of a PEM file, shared by all services that name it; a relative path begins at the folder of the
/// services file.
pub(super) fn read(entry: &Entry<'_>) -> Certificates {
    let name = entry.string("the path of a PEM file in quotes")?.text;
    let path = entry.reading.folder.join(name);
    let mut known = entry.reading.certificates.borrow_mut();
    known.entry(path).or_insert_with_key(|path| read_file(path)).clone()
}

fn read_file(path: &Path) -> Certificates {
    let pem = file::bounded(path, LONGEST_FILE).map_err(|error| {
        format!("can't be read: {error}; a relative path begins at the folder of this file")
    })?;
    certificates(&pem).map(Arc::new)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let broken =
        || "holds a broken certificate; write the path of a PEM file with CA certificates".to_owned();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| broken())?;
    if found.is_empty() {
        return Err("holds no certificate; write the path of a PEM file with CA certificates".to_owned());
    }
    let mut store = RootCertStore::empty();
    found.iter().try_for_each(|certificate| store.add(certificate.clone())).map_err(|_| broken())?;
    Ok(found)
}
