#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| wasi_streams::fuzzing::reader(input));
