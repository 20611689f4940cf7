use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use openclaw_shared::clock::Moment;
use openclaw_shared::control::Generation;
use rusqlite::{Connection, params};

use super::{Store, StoreError, lease};

fn store(folder: &Path) -> Store {
    let store = Store::new(folder.join("openclaw.sqlite"));
    store.activate(Generation(1));
    store
}

fn note(connection: &Connection, id: i64, pid: i64) -> Result<(), StoreError> {
    connection.execute(
        "INSERT OR REPLACE INTO lease (id, generation, pid) VALUES (?1, ?2, ?2)",
        params![id, pid],
    )?;
    Ok(())
}

fn pid(store: &Store) -> i64 {
    store
        .read(|reader| reader.query_row("SELECT pid FROM lease", [], |row| row.get(0)))
        .unwrap()
}

#[tokio::test]
async fn the_version_stays_until_somebody_writes_whoever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let before = store.version().unwrap();
    assert_eq!(store.version().unwrap(), before);
    let other = Connection::open(folder.path().join("openclaw.sqlite")).unwrap();
    note(&other, 1, 9).unwrap();
    let deadline = Moment::now() + Duration::from_secs(10);
    while store.version().unwrap() == before {
        assert!(Moment::now() < deadline, "nobody noticed");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_answered_is_there_and_what_failed_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let before = store.version().unwrap();
    store.write(|tx| note(tx, 1, 7)).await.unwrap();
    assert_eq!(pid(&store), 7);
    assert_ne!(store.version().unwrap(), before);
    let undone: Result<(), StoreError> = store
        .write(|tx| {
            note(tx, 1, 8)?;
            Err(StoreError::Failed("changed my mind".to_owned()))
        })
        .await;
    assert_eq!(
        undone,
        Err(StoreError::Failed("changed my mind".to_owned()))
    );
    assert_eq!(pid(&store), 7);
}

#[tokio::test]
async fn a_job_that_fails_or_panics_costs_its_neighbours_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let jobs = (0..100).map(|number| {
        store.write(move |tx| {
            assert_ne!(number % 10, 3, "this one trips");
            note(tx, 1, number)?;
            // The check refuses a second row.
            if number % 10 == 4 {
                note(tx, 2, number)?;
            }
            Ok::<_, StoreError>(number)
        })
    });
    for (number, outcome) in join_all(jobs).await.into_iter().enumerate() {
        assert_eq!(
            outcome.is_ok(),
            ![3, 4].contains(&(number % 10)),
            "{outcome:?}"
        );
    }
    assert_eq!(pid(&store), 99);
}

#[tokio::test]
async fn a_commit_that_fails_fails_all_of_its_writes_and_the_next_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.write(|tx| note(tx, 1, 1)).await.unwrap();
    let ended: Result<(), StoreError> = store
        .write(|tx| {
            note(tx, 1, 2)?;
            Ok(tx.execute_batch("ROLLBACK")?)
        })
        .await;
    // Whatever ended it, no disk was full.
    assert!(matches!(ended, Err(StoreError::Failed(_))), "{ended:?}");
    assert_eq!(pid(&store), 1);
    // Whoever shares the transaction is told why, when that is known.
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let first = store.write(move |_| {
        let _ = begin.send(());
        // Until the others wait behind it.
        let _ = gone.recv();
        Ok::<_, StoreError>(())
    });
    let neighbour = store.write(|tx| note(tx, 1, 4));
    let ends = store.write(|tx| {
        tx.execute_batch("ROLLBACK")?;
        Err::<(), _>(StoreError::Full)
    });
    let release = async { drop(go) };
    let others = async {
        // Nobody shares the transaction of the first one.
        begun.await.unwrap();
        tokio::join!(neighbour, ends, release)
    };
    let (_, (neighbour, ends, ())) = tokio::join!(first, others);
    assert_eq!(
        (neighbour, ends),
        (Err(StoreError::Full), Err(StoreError::Full))
    );
    assert_eq!(pid(&store), 1);
    store.write(|tx| note(tx, 1, 3)).await.unwrap();
    assert_eq!(pid(&store), 3);
}

#[tokio::test]
async fn a_standby_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("openclaw.sqlite"));
    assert!(matches!(store.version(), Err(StoreError::Unavailable(_))));
    let written = store.write(|tx| note(tx, 1, 1)).await;
    assert!(matches!(written, Err(StoreError::Unavailable(_))));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_files_are_private_and_the_lease_goes_to_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    first.write(|tx| note(tx, 1, 1)).await.unwrap();
    assert!(!first.read(lease::is_ours).unwrap());
    let second = Store::new(folder.path().join("openclaw.sqlite"));
    second.activate(Generation(2));
    assert!(second.read(lease::is_ours).unwrap());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_an_error_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw.sqlite");
    let garbage = "not a database at all, ".repeat(100);
    std::fs::write(&path, &garbage).unwrap();
    let store = store(folder.path());
    assert!(store.version().is_err());
    assert!(store.write(|tx| note(tx, 1, 1)).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), garbage);
}

#[tokio::test]
async fn rule_121_a_full_disk_fails_writes_changes_nothing_and_is_got_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.write(|tx| note(tx, 1, 1)).await.unwrap();
    // SQLite refuses to grow the file exactly as it does when the disk is full.
    let limit = |pages: u32| {
        store.write(move |tx| {
            Ok::<_, StoreError>(tx.pragma_update(None, "max_page_count", pages)?)
        })
    };
    limit(1).await.unwrap();
    let grown: Result<(), StoreError> = store
        .write(|tx| {
            note(tx, 1, 2)?;
            tx.execute_batch(
                "CREATE TABLE grows (bytes BLOB); INSERT INTO grows VALUES (zeroblob(1000000))",
            )?;
            Ok(())
        })
        .await;
    assert_eq!(grown, Err(StoreError::Full));
    assert_eq!(pid(&store), 1);
    limit(1_000_000).await.unwrap();
    store.write(|tx| note(tx, 1, 3)).await.unwrap();
    assert_eq!(pid(&store), 3);
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_followed_and_a_file_that_is_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real");
    std::fs::create_dir(&real).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let linked = store(&link);
    linked.write(|tx| note(tx, 1, 5)).await.unwrap();
    assert!(real.join("openclaw.sqlite").is_file());
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::os::unix::fs::symlink(real.join("openclaw.sqlite"), other.join("openclaw.sqlite"))
        .unwrap();
    assert!(store(&other).version().is_err());
    // Nor is anything created where a link points to.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::remove_file(other.join("openclaw.sqlite")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, other.join("openclaw.sqlite")).unwrap();
    assert!(store(&other).version().is_err());
    assert!(!elsewhere.exists());
}

#[tokio::test]
async fn law_5_a_store_that_somebody_else_holds_makes_nobody_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw.sqlite");
    drop(store(folder.path()));
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let store = Store::new(path);
    let tried = store.begin(Generation(2));
    let begun = Moment::now();
    for _ in 0..100 {
        assert!(matches!(store.version(), Err(StoreError::Unavailable(_))));
        let written = store.write(|tx| note(tx, 1, 1)).await;
        assert!(matches!(written, Err(StoreError::Unavailable(_))));
    }
    // Whoever waited for the other one would do so for that long, each time.
    assert!(Moment::now().since(begun) < crate::store::BUSY_TIMEOUT);
    other.execute_batch("ROLLBACK").unwrap();
    store.opened().await;
    tried.await.unwrap();
    store.write(|tx| note(tx, 1, 6)).await.unwrap();
    assert_eq!(pid(&store), 6);
}

#[tokio::test]
async fn a_store_that_could_not_be_opened_opens_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw.sqlite");
    std::fs::create_dir(&path).unwrap();
    let store = store(folder.path());
    assert!(store.version().is_err());
    std::fs::remove_dir(&path).unwrap();
    store.opened().await;
    store.write(|tx| note(tx, 1, 7)).await.unwrap();
}
