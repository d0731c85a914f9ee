//! The page and the JSON as visitors and programs see them.

mod browser;
mod page;
mod samples;
mod site;
