package buffer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// db is one database file with its one connection. mu serializes the use of
// the connection; whoever holds it may do a whole transaction. Where mu and a
// mutex of Buffer or State are both held, mu was taken first.
type db struct {
	mu   sync.Mutex
	path string

	// Guarded by mu; nil while the database is closed after an error.
	pool  *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	tight bool   // the log is kept short
	execs uint64 // statements that may have changed something, so far
}

// pragmas in the order in which they must be set: without a shared-memory
// file from the first access on, growing back before the first table.
var pragmas = []string{
	"locking_mode=EXCLUSIVE",
	"auto_vacuum=INCREMENTAL",
	"journal_mode=WAL",
	"synchronous=FULL",
	"wal_autocheckpoint=" + strconv.Itoa(logPages),
	"journal_size_limit=4194304",
	"cache_size=-2048",
	"temp_store=MEMORY",
	"mmap_size=0",
	"trusted_schema=OFF",
}

// openLocked opens the file, creates it with mode 0600 where there is none,
// and brings the schema up.
func (d *db) openLocked(schema string) error {
	d.execs++
	if err := createFile(d.path); err != nil {
		return err
	}
	pool, err := sql.Open("sqlite", "file:"+escapePath(d.path))
	if err != nil {
		return fmt.Errorf("open %s: %w", d.path, err)
	}
	pool.SetMaxOpenConns(1)
	ctx := context.Background()
	conn, err := pool.Conn(ctx)
	if err != nil {
		pool.Close()
		return fmt.Errorf("open %s: %w", d.path, err)
	}
	for _, q := range append(append([]string{}, pragmas...), "") {
		text := schema
		if q != "" {
			text = "PRAGMA " + q
		}
		if _, err := conn.ExecContext(ctx, text); err != nil {
			conn.Close()
			pool.Close()
			if sqlCode(err) == codeBusy {
				return fmt.Errorf("%s: %w", d.path, ErrInUse)
			}
			return fmt.Errorf("open %s: %w", d.path, err)
		}
	}
	// SQLite syncs the name of a new log as well, but does not look whether that
	// failed.
	if err := syncDir(filepath.Dir(d.path)); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EINVAL) {
		conn.Close()
		pool.Close()
		return fmt.Errorf("open %s: %w", d.path, err)
	}
	d.pool, d.conn, d.stmts, d.tight = pool, conn, make(map[string]*sql.Stmt), false
	return nil
}

// Pages of the log at which it is moved into the database: ordinarily, and
// while the disk is nearly full. A log of its ordinary 4 MiB would take what
// the ballast gave, and could not be emptied any more.
const (
	logPages   = 1000
	tightPages = 32
	tightBelow = 4 * ballastBytes // free on the disk
)

// keepShort keeps the log short where tight says so; only a change costs
// anything.
func (d *db) keepShort(tight bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil || d.tight == tight {
		return nil
	}
	pages := logPages
	if tight {
		pages = tightPages
	}
	if err := d.execAllLocked("PRAGMA wal_autocheckpoint=" + strconv.Itoa(pages)); err != nil {
		return err
	}
	d.tight = tight
	if !tight {
		return nil
	}
	return d.execAllLocked("PRAGMA wal_checkpoint(TRUNCATE)")
}

// closeLocked closes the connection; a checkpoint happens on the way where
// the disk allows it.
func (d *db) closeLocked() error {
	if d.conn == nil {
		return nil
	}
	for _, s := range d.stmts {
		s.Close()
	}
	err := d.conn.Close()
	if e := d.pool.Close(); err == nil {
		err = e
	}
	d.pool, d.conn, d.stmts = nil, nil, nil
	return err
}

var errDown = errors.New("the database is closed after an error")

func (d *db) stmtLocked(query string) (*sql.Stmt, error) {
	if d.conn == nil {
		return nil, errDown
	}
	if s := d.stmts[query]; s != nil {
		return s, nil
	}
	s, err := d.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	d.stmts[query] = s
	return s, nil
}

// execLocked runs a statement that it keeps prepared.
func (d *db) execLocked(query string, args ...any) error {
	s, err := d.stmtLocked(query)
	if err != nil {
		return err
	}
	d.execs++
	_, err = s.Exec(args...)
	return err
}

// queryLocked calls row for every row; the rows are closed before it returns.
func (d *db) queryLocked(query string, row func(scan func(...any) error) error, args ...any) error {
	s, err := d.stmtLocked(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// numberLocked is the one number that a query gives.
func (d *db) numberLocked(query string, args ...any) (n int64, err error) {
	err = d.queryLocked(query, func(scan func(...any) error) error { return scan(&n) }, args...)
	return n, err
}

// txLocked runs f between BEGIN and COMMIT. An error rolls back.
func (d *db) txLocked(f func() error) error {
	if err := d.execLocked("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := f()
	if err == nil {
		err = d.execLocked("COMMIT")
	}
	if err != nil && d.conn != nil {
		d.execLocked("ROLLBACK") // the first error is the one to tell; SQLite may have rolled back already
	}
	return err
}

// A read that fails for a moment is no damage: it is tried again so often, so
// long apart. (Variables for tests.)
var (
	readTries = 20
	readPause = 100 * time.Millisecond
)

// checkLocked runs PRAGMA quick_check. A page that could not be read appears in
// its answer like damage.
func (d *db) checkLocked() error {
	var first string
	for tries := 1; ; tries++ {
		err := d.queryLocked("PRAGMA quick_check(1)", func(scan func(...any) error) error { return scan(&first) })
		if err != nil {
			return err
		}
		unread := strings.Contains(first, "failed to get page") || strings.Contains(first, "unable to get the page")
		if !unread || tries >= readTries {
			break
		}
		time.Sleep(readPause)
	}
	if first != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, first)
	}
	return nil
}

// escapePath makes a path safe inside a file: URI.
func escapePath(path string) string {
	out := make([]byte, 0, len(path))
	for i := range len(path) {
		switch c := path[i]; c {
		case '?', '#', '%':
			out = fmt.Appendf(out, "%%%02x", c)
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// createFile makes an empty file with mode 0600 and syncs its directory, so
// that a power cut cannot take the name away from synced contents.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// prepareDir makes the directory, with mode 0700, and finds out whether it
// can be written.
func prepareDir(dir string) error {
	if err := makeDir(dir); err != nil {
		return dirError(dir, err)
	}
	f, err := os.CreateTemp(dir, ".write-test-*")
	if err != nil {
		// A full disk can still have room in the files that are there.
		if errors.Is(err, errNoSpace) {
			return nil
		}
		return dirError(dir, err)
	}
	name := f.Name()
	f.Close()
	os.Remove(name)
	return nil
}

// makeDir makes a directory and those above it, and syncs each new name: a
// power cut must not take the directory away from the synced files in it.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		if err := makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if st, e := os.Stat(dir); e == nil && errors.Is(err, fs.ErrExist) {
		if !st.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err // a directory that may be written and not be read cannot be synced
	}
	return nil
}

func dirError(dir string, err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("buffer.dir %s cannot be written (%w): a file is in its place; move that away, or set another buffer.dir", dir, rootCause(err))
	}
	return fmt.Errorf("buffer.dir %s cannot be written (%w); run: sudo install -d -m 0700 -o %s %s, or set another buffer.dir",
		dir, rootCause(err), userName(), dir)
}

func rootCause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func userName() string {
	if u := os.Getenv("USER"); u != "" {
		return u
	}
	return "fieldgate"
}

// execAllLocked runs a pragma to its end: one that gives rows does its work
// row by row.
func (d *db) execAllLocked(query string) error {
	return d.queryLocked(query, func(func(...any) error) error { return nil })
}
