//! Certificates and keys from PEM text, with errors that say what is wrong with it.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, Result};

/// Every certificate in `text`; at least one.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.map_err(|error| Error::InvalidInput(format!("broken PEM of a certificate: {error}").into()))?;
    if chain.is_empty() {
        return Err(Error::invalid("no certificate in the PEM given"));
    }
    Ok(chain)
}

/// The first private key in `text`: PKCS#8, PKCS#1 or SEC1.
pub(super) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>> {
    if text.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
        return Err(Error::invalid("the private key is encrypted; decrypt it first (openssl pkey -in KEY -out PLAIN)"));
    }
    PrivateKeyDer::from_pem_slice(text)
        .map_err(|error| Error::InvalidInput(format!("no usable private key in the PEM given: {error}").into()))
}

const ENCRYPTED: &[u8] = b"ENCRYPTED";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_broken_and_encrypted_pem_are_told_apart() {
        let text = |error: Error| error.to_string();
        assert!(text(certificates(b"").expect_err("empty")).contains("no certificate"));
        let broken = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(text(certificates(broken).expect_err("broken")).contains("broken PEM"));
        assert!(text(private_key(b"").expect_err("empty")).contains("no usable private key"));
        let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(text(private_key(encrypted).expect_err("encrypted")).contains("encrypted"));
    }
}
