package buffer

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var errNoSpace = unix.ENOSPC

// ballastBytes lie on the disk as a file that is given up when the disk is
// full: deleting from a database needs a little room first.
const ballastBytes = 4 << 20

// freeBytes is what an ordinary user may still write on the disk of dir.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// putBallast lays the ballast down where it is missing. Blocks are allocated,
// not only promised.
func putBallast(path string) error {
	if st, err := os.Stat(path); err == nil && st.Size() == ballastBytes {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Fallocate(int(f.Fd()), 0, 0, ballastBytes)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		_, err = f.Write(make([]byte, ballastBytes))
	}
	if err != nil {
		os.Remove(path)
		return err
	}
	return f.Sync()
}
