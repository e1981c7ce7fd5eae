//! Whom to trust when the program does not say.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;

use super::pem::{Pem, unreadable};
use crate::error::{Error, Result};

/// The certificate authorities of `SSL_CERT_FILE` and `SSL_CERT_DIR` where one is set, else those of the web.
///
/// A file that is named and cannot be used is an error, never a silent fallback to the others.
pub(super) fn default_roots(variable: impl Fn(&str) -> Option<OsString>) -> Result<RootCertStore> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let (file, folder) = (set("SSL_CERT_FILE"), set("SSL_CERT_DIR"));
    if file.is_none() && folder.is_none() {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    }
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        add_file(&mut roots, &file)?;
    }
    if let Some(folder) = folder {
        add_folder(&mut roots, &folder)?;
    }
    Ok(roots)
}

/// Takes every certificate in the folder; files without any, a README say, are passed over.
fn add_folder(roots: &mut RootCertStore, folder: &Path) -> Result<()> {
    let failed = |error| unreadable("SSL_CERT_DIR", folder, &error);
    let before = roots.len();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !path.is_file() {
            continue;
        }
        match add_file(roots, &path) {
            Err(Error::InvalidInput(_)) | Ok(()) => {}
            Err(error) => return Err(error),
        }
    }
    if roots.len() == before {
        return Err(Error::InvalidInput(format!("SSL_CERT_DIR {} has no certificate in it", folder.display()).into()));
    }
    Ok(())
}

/// Takes what can be used of a file that the program did not choose; there must be something.
fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<()> {
    let pem = Pem::file(file);
    let (used, _ignored) = roots.add_parsable_certificates(pem.certificates(WHAT)?);
    if used == 0 {
        return Err(pem.refusal(WHAT, "none of its certificates is usable"));
    }
    Ok(())
}

const WHAT: &str = "certificate file";

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> Result<RootCertStore> {
        let value = OsString::from(value);
        default_roots(move |asked| (asked == name).then(|| value.clone()))
    }

    #[test]
    fn nothing_set_means_the_authorities_of_the_web() {
        assert!(default_roots(|_| None).expect("bundled").len() > 50);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = with("SSL_CERT_FILE", "/no/such/roots.pem").expect_err("missing");
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/no/such/roots.pem"), "{error}");
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = std::env::temp_dir().join(format!("wasi-streams-roots-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("empty.pem");
        fs::write(&file, "nothing here").expect("written");
        let error = with("SSL_CERT_FILE", &file.to_string_lossy()).expect_err("empty");
        assert!(error.to_string().contains("empty.pem"), "{error}");
        let error = with("SSL_CERT_DIR", &folder.to_string_lossy()).expect_err("a README is no certificate");
        assert!(error.to_string().contains("no certificate in it"), "{error}");
        fs::remove_file(&file).expect("removed");
        let error = with("SSL_CERT_DIR", &folder.to_string_lossy()).expect_err("empty");
        assert!(error.to_string().contains("no certificate in it"), "{error}");
        fs::remove_dir(&folder).expect("removed");
    }
}
