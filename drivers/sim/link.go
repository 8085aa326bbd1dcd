package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// makeLink makes link lead to a pseudo-terminal. A link that an earlier run
// left behind is replaced; anything else in its place is not ours to remove.
func makeLink(link, path string) error {
	if link == "" {
		return nil
	}
	info, err := os.Lstat(link)
	switch {
	case err == nil && info.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("link %s: something else is there; choose another path", link)
	case err == nil:
		if err := os.Remove(link); err != nil {
			return fmt.Errorf("replace old link: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("link %s: %w", link, err)
	}
	return os.Symlink(path, link)
}

// removeLink removes link if it still leads to path.
func removeLink(link, path string) {
	if to, err := os.Readlink(link); err == nil && to == path {
		_ = os.Remove(link) // a link left behind is replaced at the next start
	}
}
