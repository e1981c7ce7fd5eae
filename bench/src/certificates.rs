//! The certificate of the TLS servers, made anew for each run.

use std::fs;
use std::path::Path;

use anyhow::Result;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;

/// Writes `server.pem` and `server.key`, ECDSA P-256, into `folder`; gives what clients are to trust.
pub(crate) fn make(folder: &Path) -> Result<CertificateDer<'static>> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("server.pem"), certificate.pem())?;
    fs::write(folder.join("server.key"), key.serialize_pem())?;
    Ok(certificate.der().clone())
}
