//! What our components ask of a host: WASI 0.2 and nothing else, as `wit/README.md` says.

use anyhow::Result;
use wasi_streams_host::{components_dir, engine, load};

const EXAMPLES: [&str; 7] =
    ["echo-server", "echo-client", "http-headers", "starttls", "wait-for-data", "chat", "proxy"];

/// The first four are ours, the others come with `std`.
const PACKAGES: [&str; 6] = ["wasi:cli", "wasi:clocks", "wasi:io", "wasi:sockets", "wasi:filesystem", "wasi:random"];

#[test]
fn the_examples_import_wasi_0_2_and_nothing_else() -> Result<()> {
    for name in EXAMPLES {
        let component = load(&components_dir().join(format!("{name}.wasm")), || {})?.component;
        let kind = component.component_type();
        let imports: Vec<&str> = kind.imports(engine()).map(|(name, _)| name).collect();
        assert!(imports.iter().any(|import| import.starts_with("wasi:sockets/tcp@0.2.")), "{name}: {imports:?}");
        for import in imports {
            let (interface, version) = import.split_once('@').unwrap_or((import, ""));
            let (package, _) = interface.split_once('/').unwrap_or((interface, ""));
            assert!(PACKAGES.contains(&package) && version.starts_with("0.2."), "{name} imports {import}");
        }
    }
    Ok(())
}
