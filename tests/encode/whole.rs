//! Files are there whole or not at all.

use std::fs;
use std::path::Path;

use partita::Error;
use partita::atomic::{self, AtomicFile, Existing};
use partita::audio::decode;
use partita::audio::encode::{EncodeConfig, FileFormat, Writer};
use tempfile::tempdir;

use crate::made::{names, noise, stereo};

#[test]
fn nothing_is_seen_before_the_end_and_nothing_left_by_a_drop() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    for file_format in FileFormat::ALL {
        let sample_format = file_format.default_sample_format();
        let config = EncodeConfig { file_format, sample_format, ..EncodeConfig::default() };
        let mut writer = Writer::create(&path, stereo(None), 1.0, &config).unwrap();
        writer.write(noise(2, 100_000, 1).view()).unwrap();
        assert!(!path.exists());
        assert!(names(&folder).iter().all(|name| name.starts_with(".partita-") && name.ends_with(".tmp")));
        drop(writer);
        assert_eq!(names(&folder), [""; 0]);
    }
}

#[test]
fn a_file_that_exists_is_refused_before_any_work_and_again_at_the_end() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let mut writer = Writer::create(&path, stereo(None), 1.0, &EncodeConfig::default()).unwrap();
    writer.write(noise(2, 10, 1).view()).unwrap();
    fs::write(&path, "mine").unwrap();
    assert!(matches!(writer.finish(), Err(Error::FileExists { .. })));

    let error = Writer::create(&path, stereo(None), 1.0, &EncodeConfig::default()).unwrap_err();
    assert!(matches!(error, Error::FileExists { .. }), "{error}");
    assert!(error.hint().unwrap().contains("`overwrite`"));
    assert_eq!((fs::read(&path).unwrap(), names(&folder)), (b"mine".to_vec(), vec!["x.wav".to_owned()]));
}

#[test]
fn a_file_that_may_be_replaced_is_kept_until_the_new_one_is_whole() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    fs::write(&path, "mine").unwrap();
    let config = EncodeConfig { existing: Existing::Replace, ..EncodeConfig::default() };
    let mut writer = Writer::create(&path, stereo(Some(5)), 1.0, &config).unwrap();
    writer.write(noise(2, 4, 1).view()).unwrap();
    let error = writer.finish().unwrap_err();
    assert!(error.to_string().ends_with("got 4 samples per channel, expected 5"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");

    let mut writer = Writer::create(&path, stereo(Some(5)), 1.0, &config).unwrap();
    writer.write(noise(2, 5, 1).view()).unwrap();
    assert!(matches!(writer.write(noise(2, 1, 1).view()), Err(Error::SampleCount { expected: 5, got: 6, .. })));
    writer.finish().unwrap();
    assert_eq!((names(&folder), decode::read(&path).unwrap().n_samples()), (vec!["x.wav".to_owned()], 5));
}

#[test]
fn folders_are_made_and_what_is_no_file_is_refused() {
    let folder = tempdir().unwrap();
    let inside = folder.path().join("a/b/x.txt");
    atomic::write(&inside, b"1", Existing::Refuse).unwrap();
    assert_eq!(fs::read(&inside).unwrap(), b"1");

    for existing in [Existing::Refuse, Existing::Replace] {
        let error = AtomicFile::create(&folder.path().join("a"), existing).unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
        let error = AtomicFile::create(&inside.join("below.txt"), existing).unwrap_err();
        assert!(matches!(error, Error::CreateFolder { .. }), "{error}");
        assert!(error.hint().unwrap().contains("a file is where a folder is needed"), "{error:?}");
        let long = folder.path().join("x".repeat(300));
        let error = AtomicFile::create(&long, existing).unwrap_err();
        assert!(matches!(error, Error::WriteFile { .. }) && error.hint().is_some(), "{error:?}");
    }
    for name in ["", "..", "new/", "new/.."] {
        let error = AtomicFile::create(Path::new(name), Existing::Refuse).unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    }
    assert_eq!(names(&folder), ["a"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_to_is_reported_with_its_cause_and_a_hint() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.path().join("y"), "").is_ok() {
        eprintln!("skipped: this user may write everywhere");
        return;
    }
    let error = AtomicFile::create(&folder.path().join("x.wav"), Existing::Refuse).unwrap_err();
    assert!(
        matches!(error, Error::WriteFile { .. })
            && error.hint().unwrap().contains("choose a folder that you may write to"),
        "{error:?}"
    );
    assert!(std::error::Error::source(&error).unwrap().to_string().starts_with("Permission denied"));
}

#[cfg(unix)]
#[test]
fn devices_are_refused_and_links_followed() {
    let error = atomic::write(Path::new("/dev/null"), b"", Existing::Replace).unwrap_err();
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");

    let folder = tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    atomic::write(&link, b"new", Existing::Replace).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"new");
    assert!(link.is_symlink());
}

#[cfg(unix)]
#[test]
fn permissions_are_those_of_an_ordinary_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let (ours, ordinary) = (folder.path().join("ours"), folder.path().join("ordinary"));
    atomic::write(&ours, b"", Existing::Refuse).unwrap();
    fs::write(&ordinary, "").unwrap();
    let [ours, ordinary] = [ours, ordinary].map(|path| fs::metadata(path).unwrap().permissions().mode());
    assert_eq!(ours, ordinary, "{ours:o}, expected {ordinary:o}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_has_a_hint() {
    let source = fs::write("/dev/full", "x").unwrap_err(); // fails as on a full disk
    let error = Error::WriteFile { path: "x.wav".into(), source };
    assert!(error.hint().unwrap().contains("free some space"), "{error:?}");
}
