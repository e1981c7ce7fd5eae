//! Why a component cannot be instantiated, in words that say what to do.

use wasmtime::Error;
use wasmtime::component::Component;

/// Says of an error of instantiation which import is missing, or different here, or that the component is no program, and what to do about
/// it; any other error is given back as it is. The error of wasmtime stays below, as the source.
///
/// ```
/// # fn instantiate(component: &wasmtime::component::Component) -> wasmtime::Result<()> { Ok(()) }
/// # fn start(component: &wasmtime::component::Component) -> wasmtime::Result<()> {
/// use wasi_streams_host::explain_missing;
///
/// instantiate(component).map_err(|error| explain_missing(component, error))?;
/// # Ok(())
/// # }
/// ```
///
/// For a component with Unix sockets and a linker without [`unix::add_to_linker`](crate::unix::add_to_linker):
///
/// ```text
/// the component needs Unix sockets (wasi-streams:unix/sockets@0.1.0), and this host does not have them: add
/// wasi_streams_host::unix::add_to_linker to its linker, or run the component with wasi-streams-run
/// ```
pub fn explain_missing(component: &Component, error: Error) -> Error {
    let text = format!("{error:#}");
    let kind = component.component_type();
    // wasmtime has no type for this error; the name of an import in its text is a fact, whatever the words around it.
    let named = kind.imports(component.engine()).map(|(name, _)| name).find(|name| text.contains(&format!("`{name}`")));
    match named.map(words) {
        Some(words) => error.context(words),
        None if text.contains("no exported instance named `wasi:cli/run@") => error.context(no_program(component)),
        None => error,
    }
}

fn no_program(component: &Component) -> String {
    let kind = component.component_type();
    let exports: Vec<&str> = kind.exports(component.engine()).map(|(name, _)| name).collect();
    if exports.iter().any(|name| name.starts_with("wasi-streams:net/")) {
        return "this is the library, not a program: join a program with it, by wac plug PROGRAM --plug wasi-streams.wasm -o OUT, and run \
                that"
            .into();
    }
    let exports = if exports.is_empty() { "nothing".into() } else { exports.join(", ") };
    format!("the component is not a program: a program exports wasi:cli/run, and this exports {exports}")
}

fn words(import: &str) -> String {
    let (package, _) = import.split_once('/').unwrap_or((import, ""));
    match package {
        "wasi-streams:unix" => format!(
            "the component needs Unix sockets ({import}), and this host does not have them: add \
             wasi_streams_host::enforce::add_to_linker to its linker (or unix::add_to_linker, without a policy), or run the component with \
             wasi-streams-run"
        ),
        "wasi-streams:net" => format!(
            "the component needs the library beside it ({import}): join them first, with wac plug COMPONENT --plug \
             wasi-streams.wasm -o OUT"
        ),
        "wasi:http" => {
            format!("the component needs HTTP ({import}), and this host does not have it: run it where it is")
        }
        _ => format!("the component needs {import}, and this host does not have it, or another version"),
    }
}
