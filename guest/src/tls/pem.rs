//! Certificates and keys from PEM text or files, with errors that name the file and say what is wrong with it.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::error::{Error, Result};

/// PEM: the text itself (every kind of string converts), or a [file](Pem::file) of it.
///
/// # Examples
///
/// ```no_run
/// use wasi_streams::Pem;
///
/// let text: Pem = "-----BEGIN CERTIFICATE-----\n…".into();
/// let file = Pem::file("server.pem");
/// ```
#[derive(Clone)]
pub struct Pem(Origin);

#[derive(Clone)]
enum Origin {
    Text(Vec<u8>),
    File(PathBuf),
}

impl Pem {
    /// Names a file, which is read when the configuration is built. Its folder must be open to the component.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Origin::File(path.into()))
    }

    /// Every certificate; at least one.
    pub(super) fn certificates(&self, what: &'static str) -> Result<Vec<CertificateDer<'static>>> {
        let text = self.read(what)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|error| self.refusal(what, format_args!("broken PEM: {error}")))?;
        if found.is_empty() {
            return Err(self.refusal(what, missing("certificate", &text)));
        }
        Ok(found)
    }

    /// The first private key: PKCS#8, PKCS#1 or SEC1.
    pub(super) fn private_key(&self, what: &'static str) -> Result<PrivateKeyDer<'static>> {
        let text = self.read(what)?;
        if contains(&text, b"ENCRYPTED") {
            let why = "the private key is encrypted; decrypt it first (openssl pkey -in KEY -out PLAIN)";
            return Err(self.refusal(what, why));
        }
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => self.refusal(what, missing("private key", &text)),
            error => self.refusal(what, format_args!("broken PEM: {error}")),
        })
    }

    /// Every certificate revocation list; at least one.
    pub(super) fn revocation_lists(&self) -> Result<Vec<CertificateRevocationListDer<'static>>> {
        let what = "revocation list";
        let text = self.read(what)?;
        let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|error| self.refusal(what, format_args!("broken PEM: {error}")))?;
        if found.is_empty() {
            return Err(self.refusal(what, missing("X509 CRL", &text)));
        }
        Ok(found)
    }

    /// Authorities to be trusted, every one of them usable.
    pub(super) fn roots(&self, what: &'static str) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(what)? {
            roots.add(certificate).map_err(|error| self.refusal(what, not_x509(&error)))?;
        }
        Ok(roots)
    }

    /// An argument error that says which PEM it is about.
    pub(super) fn refusal(&self, what: &'static str, why: impl fmt::Display) -> Error {
        Error::InvalidInput(format!("{}: {why}", self.called(what)).into())
    }

    /// How messages call it.
    pub(super) fn called(&self, what: &'static str) -> String {
        match &self.0 {
            Origin::Text(_) => format!("the {what} given"),
            Origin::File(path) => format!("{what} {}", path.display()),
        }
    }

    fn read(&self, what: &'static str) -> Result<Cow<'_, [u8]>> {
        let text = match &self.0 {
            Origin::Text(text) => Cow::Borrowed(&text[..]),
            Origin::File(path) => Cow::Owned(fs::read(path).map_err(|error| unreadable(what, path, &error))?),
        };
        if text.trim_ascii().is_empty() {
            return Err(self.refusal(what, "it is empty"));
        }
        Ok(text)
    }
}

/// An error about a file or folder that cannot be read.
pub(super) fn unreadable(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::io(
        error.kind(),
        format!("cannot read {what} {} (is its folder open to the component?): {error}", path.display()),
    )
}

/// Why something in proper PEM is of no use.
pub(super) fn not_x509(error: &rustls::Error) -> String {
    format!("it is no usable X.509 certificate: {error}")
}

/// Why `wanted` was not found, by what is there instead.
fn missing(wanted: &str, text: &[u8]) -> String {
    const BEGIN: &str = "-----BEGIN ";
    if text.first() == Some(&0x30) {
        return format!("no {wanted} in it: it looks like DER, convert it to PEM first (openssl, -inform DER)");
    }
    let text = String::from_utf8_lossy(text);
    let labels: Vec<&str> =
        text.split(BEGIN).skip(1).filter_map(|rest| rest.split_once("-----")).map(|(label, _)| label).collect();
    match labels[..] {
        [] => format!("no {wanted} in it, and no other PEM (-----BEGIN …)"),
        _ => format!("no {wanted} in it, but: {}", labels.join(", ")),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

impl From<&str> for Pem {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for Pem {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&String> for Pem {
    fn from(text: &String) -> Self {
        text.as_bytes().into()
    }
}

impl From<&[u8]> for Pem {
    fn from(text: &[u8]) -> Self {
        text.to_vec().into()
    }
}

impl From<Vec<u8>> for Pem {
    fn from(text: Vec<u8>) -> Self {
        Self(Origin::Text(text))
    }
}

impl From<&Pem> for Pem {
    fn from(pem: &Pem) -> Self {
        pem.clone()
    }
}

impl fmt::Debug for Pem {
    /// Shows no keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::Text(text) => write!(f, "Pem({} bytes)", text.len()),
            Origin::File(path) => write!(f, "Pem({})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, certificate: &str, key: &str) {
        let pem = Pem::from(text);
        let error = pem.certificates("certificate").expect_err(text).to_string();
        assert!(error.starts_with("the certificate given: ") && error.contains(certificate), "{error}");
        let error = pem.private_key("key").expect_err(text).to_string();
        assert!(error.starts_with("the key given: ") && error.contains(key), "{error}");
    }

    #[test]
    fn what_is_wrong_with_pem_is_said() {
        check(" \n", "empty", "empty");
        check("hello", "no certificate in it, and no other PEM", "no private key in it, and no other PEM");
        check("0\u{3}", "DER", "DER");
        check("-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n", "but: X509 CRL", "but: X509 CRL");
        let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        check(broken, "broken PEM", "broken PEM");
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        check(cut, "broken PEM", "broken PEM");
    }

    #[test]
    fn an_encrypted_key_is_called_that_in_both_formats() {
        let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END RSA PRIVATE KEY-----\n";
        for text in [pkcs8, old] {
            let error = Pem::from(text).private_key("key").expect_err("encrypted");
            assert!(error.to_string().contains("is encrypted"), "{error}");
        }
    }

    #[test]
    fn a_file_is_named() {
        let error = Pem::file("/no/such/key.pem").private_key("key").expect_err("missing");
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/no/such/key.pem"), "{error}");
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", Pem::from("secret")), "Pem(6 bytes)");
    }
}
