use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn names(listing: &Listing, root: &Path) -> Vec<String> {
    listing.files.iter().map(|f| f.strip_prefix(root).unwrap().display().to_string()).collect()
}

#[test]
fn folders_are_walked_by_path_and_hidden_and_other_files_left_out() {
    let root = folder(&[
        ("b.yaml", ""),
        ("a/z.yml", ""),
        ("a/c.yaml", ""),
        ("a.yaml", ""),
        ("notes.txt", ""),
        ("..data/b.yaml", ""),
        (".hidden.yaml", ""),
    ]);
    let (listing, unreadable) = list(&[root.path().to_owned()], Absent::IsError);
    assert!(unreadable.is_empty(), "{unreadable:?}");
    assert_eq!(names(&listing, root.path()), ["a/c.yaml", "a/z.yml", "a.yaml", "b.yaml"]);
}

#[test]
fn the_order_of_the_list_is_kept_and_nothing_is_read_twice() {
    let root = folder(&[("x.yaml", ""), ("d/y.yaml", ""), ("odd.txt", "")]);
    let at = |name: &str| root.path().join(name);
    let (listing, unreadable) =
        list(&[at("odd.txt"), at("x.yaml"), at("d"), at("x.yaml"), at("d/y.yaml")], Absent::IsError);
    assert!(unreadable.is_empty(), "{unreadable:?}");
    assert_eq!(names(&listing, root.path()), ["odd.txt", "x.yaml", "d/y.yaml"]);
}

#[test]
fn what_is_absent_depends_on_who_lists_it() {
    let root = folder(&[("there.yaml", "")]);
    let at = |name: &str| root.path().join(name);
    let (listing, unreadable) = list(&[at("rules")], Absent::FolderIsEmpty);
    assert!(listing.files.is_empty() && unreadable.is_empty());
    assert_eq!(listing.absent_folders, [at("rules")]);
    let table =
        [(Absent::FolderIsEmpty, "rules.yaml"), (Absent::IsError, "rules.yaml"), (Absent::IsError, "rules")];
    for (absent, name) in table {
        let (listing, errors) = list(&[at(name), at("there.yaml"), at("more.yml")], absent);
        assert_eq!(errors.len(), 2, "{name}: all are reported");
        assert_eq!(names(&listing, root.path()), ["there.yaml"], "{name}: what is there is listed");
        assert!(errors[0].to_string().contains(name), "{}", errors[0]);
    }
}

#[cfg(unix)]
#[test]
fn a_loop_of_links_ends() {
    let root = folder(&[("a.yaml", "")]);
    std::os::unix::fs::symlink(root.path(), root.path().join("again")).unwrap();
    let (_, errors) = list(&[root.path().to_owned()], Absent::IsError);
    let said = errors[0].to_string();
    assert!(said.contains("loop") || said.contains("symbolic links"), "{said}");
}

#[test]
fn a_text_that_is_not_utf8_names_the_byte() {
    let root = folder(&[]);
    let path = root.path().join("a.yaml");
    fs::write(&path, b"ab\xff").unwrap();
    assert!(read(&path).unwrap_err().to_string().ends_with("not UTF-8 at byte 2"));
}

#[test]
fn a_stamp_differs_after_a_write_of_the_same_length_and_after_a_rename_over() {
    let root = folder(&[("a", "one"), ("b", "two")]);
    let path = root.path().join("a");
    let first = Stamp::of(&path);
    assert_eq!(first, Stamp::of(&path));
    fs::rename(root.path().join("b"), &path).unwrap();
    let second = Stamp::of(&path);
    assert_ne!(first, second);
    fs::remove_file(&path).unwrap();
    assert_ne!(second, Stamp::of(&path));
    assert_eq!(Stamp::of(&path).changed_at(), None);
}
