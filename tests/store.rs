//! The store, on a folder and on Azurite: whole objects, conditions, metadata, listings, files.

use std::fs;
use std::process::Command;

use aksentry::identity::Secret;
use aksentry::store::Environment;
use aksentry::store::Location;
use aksentry::store::Metadata;
use aksentry::store::Store;
use aksentry::store::StoreError;
use bytes::Bytes;

use crate::azurite::{self, Place, places};

fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn none() -> Metadata {
    Metadata::new()
}

async fn content(store: &Store, key: &str) -> Option<Bytes> {
    store.get(key).await.unwrap().map(|(content, _)| content)
}

#[tokio::test]
async fn an_object_is_what_was_written() {
    for place in places() {
        let store = place.open();
        assert_eq!(store.get("a/b").await.unwrap(), None);
        assert_eq!(store.head("a/b").await.unwrap(), None);

        let etag =
            store.put("a/b", "first".into(), &metadata(&[("ownerid", ""), ("n", "1 2")])).await.unwrap();
        let head = store.head("a/b").await.unwrap().unwrap();
        assert_eq!(head.etag, etag);
        assert_eq!(head.metadata, metadata(&[("ownerid", ""), ("n", "1 2")]));
        assert_eq!((head.object.key.as_str(), head.object.bytes), ("a/b", 5));
        assert!(head.object.modified > 1_700_000_000_000_000, "{}", head.object.modified);
        assert_eq!(store.get("a/b").await.unwrap(), Some(("first".into(), etag.clone())));

        let again = store.put("a/b", Bytes::new(), &none()).await.unwrap();
        assert_ne!(again, etag);
        let head = store.head("a/b").await.unwrap().unwrap();
        assert_eq!((head.object.bytes, head.metadata), (0, none()));

        store.delete("a/b").await.unwrap();
        store.delete("a/b").await.unwrap();
        assert_eq!(store.get("a/b").await.unwrap(), None);
        store.probe().await.unwrap();
    }
}

#[tokio::test]
async fn conditions_hold() {
    for place in places() {
        let store = place.open();
        let first = store.put_if_absent("k", "1".into(), &none()).await.unwrap().unwrap();
        assert_eq!(store.put_if_absent("k", "2".into(), &none()).await.unwrap(), None);
        let second = store.put_if_match("k", "2".into(), &none(), &first).await.unwrap().unwrap();
        assert_eq!(store.put_if_match("k", "3".into(), &none(), &first).await.unwrap(), None);
        assert_eq!(content(&store, "k").await, Some("2".into()));
        // The same content again is another write.
        let third = store.put_if_match("k", "2".into(), &none(), &second).await.unwrap().unwrap();
        assert_ne!(second, third);
        store.delete("k").await.unwrap();
        assert_eq!(store.put_if_match("k", "4".into(), &none(), &third).await.unwrap(), None);
        assert_eq!(content(&store, "k").await, None);
    }
}

#[tokio::test]
async fn listings_show_what_is_below() {
    for place in places() {
        let store = place.open();
        assert_eq!(store.list("").await.unwrap(), []);
        for key in ["t=a/d=1/x", "t=a/d=2/x", "t=a/d=2/y", "t=ab/z", "top"] {
            store.put(key, key.to_owned().into(), &metadata(&[("m", "v")])).await.unwrap();
        }
        let keys = |objects: Vec<aksentry::store::Object>| {
            objects.into_iter().map(|o| (o.key, o.bytes)).collect::<Vec<_>>()
        };
        let named =
            |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), n.len() as u64)).collect::<Vec<_>>();
        assert_eq!(
            keys(store.list("").await.unwrap()),
            named(&["t=a/d=1/x", "t=a/d=2/x", "t=a/d=2/y", "t=ab/z", "top"])
        );
        assert_eq!(keys(store.list("t=a").await.unwrap()), named(&["t=a/d=1/x", "t=a/d=2/x", "t=a/d=2/y"]));
        assert_eq!(store.folders("").await.unwrap(), ["t=a", "t=ab"]);
        assert_eq!(store.folders("t=a").await.unwrap(), ["t=a/d=1", "t=a/d=2"]);
        assert_eq!(store.folders("nothing").await.unwrap(), Vec::<String>::new());
        for key in ["t=a/d=2/x", "t=a/d=2/y"] {
            store.delete(key).await.unwrap();
        }
        assert_eq!(store.folders("t=a").await.unwrap(), ["t=a/d=1"]);
    }
}

#[tokio::test]
async fn files_become_objects() {
    let disk = tempfile::tempdir().unwrap();
    for place in places() {
        let store = place.open();
        // Below and above the size at which a file goes up in parts.
        for bytes in [0, 10, 4 << 20, (9 << 20) + 17] {
            let path = disk.path().join("file");
            let data: Vec<u8> = (0..bytes).map(|n: usize| (n / 7) as u8).collect();
            fs::write(&path, &data).unwrap();
            store.upload_file(&path, "up/file").await.unwrap();
            assert!(path.exists());
            assert!(content(&store, "up/file").await.unwrap() == data, "{bytes}");

            let key = format!("moved/{bytes}");
            store.move_file(&path, &key).await.unwrap();
            assert!(!path.exists());
            assert!(content(&store, &key).await.unwrap() == data, "{bytes}");
            assert_eq!(store.head(&key).await.unwrap().unwrap().object.bytes, bytes as u64);
            // Once more, as after a crash right behind it.
            store.move_file(&path, &key).await.unwrap();
            assert!(store.move_file(&path, "moved/other").await.is_err());
        }
    }
}

#[tokio::test]
async fn of_many_who_increment_each_counts() {
    for place in places() {
        let store = place.open();
        store.put("n", "0".into(), &none()).await.unwrap();
        let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(increment(place.open(), 5))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(content(&store, "n").await, Some("40".into()));
    }
}

async fn increment(store: Store, times: usize) {
    for _ in 0..times {
        loop {
            let (content, etag) = store.get("n").await.unwrap().unwrap();
            let n: u64 = std::str::from_utf8(&content).unwrap().parse().unwrap();
            if store.put_if_match("n", (n + 1).to_string().into(), &none(), &etag).await.unwrap().is_some() {
                break;
            }
        }
    }
}

const SHARED: &str = "STORE_TEST_FOLDER";

/// One of the processes of the test below.
#[tokio::test]
#[ignore = "run by two_processes_share_a_folder"]
#[expect(clippy::disallowed_methods, reason = "the other process says where")]
async fn one_of_two_processes() {
    let folder = std::env::var(SHARED).unwrap();
    let store = Store::open(&Location::Folder(folder.into()), &Environment::default()).unwrap();
    increment(store, 100).await;
}

#[tokio::test]
async fn two_processes_share_a_folder() {
    let place = Place::folder();
    let store = place.open();
    store.put("n", "0".into(), &none()).await.unwrap();
    let Location::Folder(folder) = &place.location else { panic!("{}", place.location) };
    let other = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::one_of_two_processes", "--ignored"])
            .env(SHARED, folder)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let (mut one, mut two) = (other(), other());
    assert!(one.wait().unwrap().success() & two.wait().unwrap().success());
    assert_eq!(content(&store, "n").await, Some("200".into()));
}

#[tokio::test]
async fn a_crash_leaves_nothing_in_sight() {
    let place = Place::folder();
    let store = place.open();
    store.put("a", "1".into(), &none()).await.unwrap();
    let Location::Folder(folder) = &place.location else { panic!("{}", place.location) };
    let half = folder.join(".tmp/half");
    let young = folder.join(".tmp/young");
    fs::write(&half, "ha").unwrap();
    fs::write(&young, "yo").unwrap();
    let modified = fs::metadata(&young).unwrap().modified().unwrap();
    let old = modified - std::time::Duration::from_secs(7200);
    fs::File::options().write(true).open(&half).unwrap().set_modified(old).unwrap();
    let store = place.open();
    assert_eq!(store.list("").await.unwrap().len(), 1);
    assert!(!half.exists());
    assert!(young.exists(), "another process may be writing it");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do() {
    let open = |location: &str, environment: Environment| {
        Store::open(&Location::parse(location).unwrap(), &environment).map(drop).unwrap_err().to_string()
    };
    assert!(open("az://abc", Environment::default()).contains("AZURE_STORAGE_ACCOUNT_NAME"));
    let account = |key: &str, endpoint: &str| Environment {
        account: Some("acct".into()),
        key: Some(Secret::new(key)),
        endpoint: Some(endpoint.into()),
    };
    let error = open("az://abc", account("not base64: SECRET", "https://x.blob.core.windows.net"));
    assert!(error.contains("AZURE_STORAGE_ACCOUNT_KEY") && !error.contains("SECRET"), "{error}");
    let error = open("az://abc", account("c29tZXRoaW5n", "http://x.blob.core.windows.net"));
    assert!(error.contains("loopback"), "{error}");

    let place = Place::folder();
    let store = place.open();
    for key in ["../x", "a//b", ".lock", "a/.tmp/x"] {
        assert!(store.put(key, Bytes::new(), &none()).await.is_err(), "{key}");
    }
    for bad in [metadata(&[("Upper", "x")]), metadata(&[("a", "line\nbreak")]), metadata(&[("a", "ü")])] {
        assert!(store.put("a", Bytes::new(), &bad).await.is_err());
    }

    let missing = Location::parse("az://not-there/x").unwrap();
    let store = Store::open(&missing, &azurite::environment()).unwrap();
    for error in [
        store.list("a").await.map(drop).unwrap_err(),
        store.get("a").await.map(drop).unwrap_err(),
        store.probe().await.unwrap_err(),
        store.put_if_absent("a", Bytes::new(), &none()).await.map(drop).unwrap_err(),
        store.put_if_match("a", Bytes::new(), &none(), "\"0x1\"").await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::NoContainer { .. }), "{error}");
        assert!(error.to_string().contains("az storage container create --name not-there"), "{error}");
    }
    let mut wrong = azurite::environment();
    wrong.key = Some(Secret::new("d3Jvbmc="));
    let store = Store::open(&missing, &wrong).unwrap();
    let error = store.list("a").await.unwrap_err();
    assert!(matches!(error, StoreError::SignIn { .. }), "{error}");
    assert!(!error.to_string().contains("d3Jvbmc="), "{error}");
}
