package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Backup writes a checked copy of the journal, as it is now, to path, which must not exist. Reads and writes go on meanwhile;
// it takes about as long as copying the file twice. The copy is an ordinary journal; RestoreFile puts it in place.
func (j *Journal) Backup(ctx context.Context, path string) error {
	return BackupFile(ctx, j.cfg.Path, path)
}

// BackupFile is Backup for a journal that another process may have open.
func BackupFile(ctx context.Context, journal, path string) (err error) {
	doing := func(err error) error {
		return fmt.Errorf("back up journal %s to %s: %w", journal, path, explain(err, path))
	}
	if _, err := os.Stat(journal); err != nil {
		return doing(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return doing(errors.Join(err, errors.New("exists already: choose another name or remove it")))
	}
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return doing(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	if err := copyTo(ctx, journal, part); corrupt(err) {
		return fmt.Errorf("back up: %w", explain(err, journal))
	} else if err != nil {
		return doing(err)
	}
	if err := checkCopy(ctx, part); err != nil {
		return doing(fmt.Errorf("check the copy: %w", err))
	}
	if err := syncFile(part); err != nil {
		return doing(err)
	}
	if err := os.Rename(part, path); err != nil {
		return doing(err)
	}
	return nil
}

func copyTo(ctx context.Context, journal, path string) (err error) {
	// Created by us so that only this user can read it; SQLite fills an empty file.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := openDB(journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := checkOwner(ctx, db); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}

func checkCopy(ctx context.Context, path string) (err error) {
	// Not openDB: a copy that nobody writes needs no -wal.
	db, err := sql.Open("sqlite", fileURL(path, nil))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	return integrity(ctx, db, "quick_check")
}

// syncFile makes a file, or the names in a directory, durable.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
