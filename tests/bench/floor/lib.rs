//! Makes the host calls that Gatelatch makes on a request with a live session, in the same order
//! and of the same sizes, and decides nothing: the limit of what such a filter can reach.
//!
//! A test counts the calls of the compiled filter; when that count changes, this changes too.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
}

const REQUEST: u32 = 0;
const RESPONSE: u32 = 2;

/// Of the sizes that the benchmark's user has.
const IDENTITY: [(&[u8], &[u8]); 3] = [
    (b"x-auth-request-email", b"bench@example.test"),
    (b"x-auth-request-session", b"AAAAAAAAAAAAAAAAAAAAAA"),
    (b"x-auth-request-user", b"bench"),
];

struct Root;
struct Stream;

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let (mut now, mut data, mut size) = (0, std::ptr::null_mut(), 0);
        // SAFETY: all pointers are to live memory of the sizes given; what the host hands over was
        // allocated by `proxy_on_memory_allocate`, a `Vec` of exactly this capacity.
        unsafe {
            proxy_get_header_map_pairs(REQUEST, &mut data, &mut size);
            if !data.is_null() {
                drop(Vec::from_raw_parts(data, size, size));
            }
            proxy_get_current_time_nanoseconds(&mut now);
            proxy_remove_header_map_value(REQUEST, b"cookie".as_ptr(), 6);
            for (name, value) in IDENTITY {
                proxy_add_header_map_value(
                    REQUEST,
                    name.as_ptr(),
                    name.len(),
                    value.as_ptr(),
                    value.len(),
                );
            }
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let (mut data, mut size) = (std::ptr::null_mut(), 0);
        let name = b"set-cookie";
        // SAFETY: as above.
        unsafe {
            proxy_get_header_map_value(RESPONSE, name.as_ptr(), name.len(), &mut data, &mut size);
            if !data.is_null() {
                drop(Vec::from_raw_parts(data, size, size));
            }
        }
        Action::Continue
    }
}

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

// The exported initialiser that the macro writes has no documentation of its own.
#[allow(missing_docs)]
mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(super::Root));
    }}
}
