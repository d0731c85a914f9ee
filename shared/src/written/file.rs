//! A file as bytes on a disk: found, read within a bound, UTF-8.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::problems::{Problem, Problems};

/// Thousands of services fit; a device or a log file named by mistake does not.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// Reads the text of a file that `reader` (like "the prober") was told of by `option` (like `--config`).
///
/// # Errors
/// Why it can't be read, or the first byte that is no UTF-8.
pub fn read(path: &Path, option: &str, reader: &str) -> Result<String, Problems> {
    let why = |error: io::Error| Problems::of_file(path, why(&error, option, reader));
    decode(path, bounded(path, LONGEST_FILE).map_err(why)?)
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// What the system says, or that the file is longer.
pub fn bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 <= most {
        true => Ok(bytes),
        false => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {}", size(most)))),
    }
}

fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

fn why(error: &io::Error, option: &str, reader: &str) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("does not exist; write it, or name another file with {option}"),
        io::ErrorKind::IsADirectory => format!("is a folder; name the file inside it with {option}"),
        io::ErrorKind::PermissionDenied => {
            format!("may not be read by this user; give the user who runs {reader} the right to read it")
        }
        _ => format!("can't be read: {error}; name another file with {option}"),
    }
}

fn decode(path: &Path, bytes: Vec<u8>) -> Result<String, Problems> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let (before, byte) = (&error.as_bytes()[..at], error.as_bytes()[at]);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let text = format!("is not UTF-8 (byte 0x{byte:02X}); save the file as UTF-8");
        Problems::new(path, vec![Problem { line: Some(line), text }])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beyond_the_bound_is_refused_and_not_read() {
        assert!(bounded(Path::new("/dev/zero"), 10).unwrap_err().to_string().starts_with("longer than"));
        let error = read(Path::new("/dev/zero"), "--config", "the prober").unwrap_err();
        assert_eq!(
            error.to_string(),
            "/dev/zero: can't be read: longer than 4 MiB; name another file with --config"
        );
        let error = bounded(Path::new("/dev/zero"), 64 << 10).unwrap_err();
        assert_eq!(error.to_string(), "longer than 64 KiB");
    }

    #[test]
    fn a_file_of_somebody_else_is_told_apart_from_a_broken_disk() {
        let why = |error: io::Error| why(&error, "--config", "the prober");
        let denied = why(io::ErrorKind::PermissionDenied.into());
        assert!(denied.starts_with("may not be read by this user; give the user who runs the prober"));
        assert!(why(io::Error::other("input/output error")).starts_with("can't be read: input/output error"));
    }
}
