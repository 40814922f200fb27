//! Loading a module: the compiled filter, or a small one that a test brings.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use wasmi::{Engine, Instance, Store};

use crate::abi;
use crate::guest::VmState;

/// A parsed module, to be instantiated any number of times.
#[derive(Debug, Clone)]
pub struct Module(wasmi::Module);

/// Where the compiled filter lies in the target directory.
const FILTER: &str = "wasm32-wasip1/release/gatelatch_filter.wasm";

impl Module {
    /// The compiled filter, parsed once per process.
    ///
    /// # Panics
    /// When it has not been built: a test of the filter that runs without one would prove nothing.
    pub fn filter() -> &'static Self {
        static FILTER: LazyLock<Module> = LazyLock::new(|| {
            let path = filter_path();
            let bytes = std::fs::read(&path).unwrap_or_else(|error| {
                panic!(
                    "no filter at {} ({error}): build it with `cargo build --release --target wasm32-wasip1 -p \
                     gatelatch-filter`, or name another module in GATELATCH_WASM",
                    path.display()
                )
            });
            Module::new(&bytes)
                .unwrap_or_else(|error| panic!("{} does not load: {error}", path.display()))
        });
        &FILTER
    }

    /// Parses a module, in the binary format or as text.
    pub fn new(wasm: &[u8]) -> Result<Self, String> {
        let engine = Engine::default();
        wasmi::Module::new(&engine, wasm)
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// What the module imports, as `module.name`, in its order.
    pub fn imports(&self) -> Vec<String> {
        self.0
            .imports()
            .map(|import| format!("{}.{}", import.module(), import.name()))
            .collect()
    }

    /// The names that the module exports.
    pub fn exports(&self) -> Vec<String> {
        self.0
            .exports()
            .map(|export| export.name().to_owned())
            .collect()
    }

    /// Links and instantiates. Envoy runs ABI 0.1.0, 0.2.0 and 0.2.1; this host the last only.
    pub(crate) fn instantiate(&self, state: VmState) -> Result<(Store<VmState>, Instance), String> {
        if self.0.get_export("proxy_abi_version_0_2_1").is_none() {
            return Err("the module does not export proxy_abi_version_0_2_1".to_owned());
        }
        let linker = abi::link(&self.0).map_err(|error| error.to_string())?;
        let mut store = Store::new(self.0.engine(), state);
        let instance = linker
            .instantiate_and_start(&mut store, &self.0)
            .map_err(|error| error.to_string())?;
        Ok((store, instance))
    }
}

/// `GATELATCH_WASM`, or where cargo has put it.
fn filter_path() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    match std::env::var_os("GATELATCH_WASM") {
        Some(path) => path.into(),
        None => root.join(target).join(FILTER),
    }
}
