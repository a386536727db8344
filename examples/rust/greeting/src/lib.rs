/// The text of the page.
pub fn greeting() -> &'static str {
    "Hello from Rust\n"
}
