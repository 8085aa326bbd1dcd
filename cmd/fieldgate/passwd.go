package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"fieldgate/configs"
	"fieldgate/mqtt/broker"
)

// defaultUsers is the password file of a configuration that names none.
const defaultUsers = "/etc/fieldgate/users"

func (a *app) passwdCommand() *cobra.Command {
	c := &cobra.Command{Use: "passwd", Short: "Manage the broker's users", GroupID: "file", Args: cobra.NoArgs,
		Long: "Works on the file that [broker.auth] users_file names, or on --file. It may hold users made by mosquitto_passwd. A running gateway takes changes up with fieldgate reload.",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var file string
	c.PersistentFlags().StringVar(&file, "file", "", "password `file`")
	add := func(use, short string, args cobra.PositionalArgs, f func(u *users, args []string) error) {
		c.AddCommand(&cobra.Command{Use: use, Short: short, Args: args, RunE: func(_ *cobra.Command, args []string) error {
			u, err := a.openUsers(file)
			if err != nil {
				return err
			}
			return f(u, args)
		}})
	}
	add("add NAME", "Add a user; the password is asked for, or read from the standard input", cobra.ExactArgs(1),
		func(u *users, args []string) error { return a.passwdPut(u, args[0], false) })
	add("set NAME", "Give a user another password", cobra.ExactArgs(1),
		func(u *users, args []string) error { return a.passwdPut(u, args[0], true) })
	add("del NAME", "Delete a user", cobra.ExactArgs(1), func(u *users, args []string) error {
		if !u.remove(args[0]) {
			return withCode(exitProblems, "there is no user %q in %s", args[0], u.path)
		}
		return u.save()
	})
	add("list", "List the users", cobra.NoArgs, func(u *users, _ []string) error {
		if a.json {
			return a.printJSON(struct {
				Schema string   `json:"schema"`
				File   string   `json:"file"`
				Users  []string `json:"users"`
			}{"fieldgate.users/1", u.path, u.names()})
		}
		for _, n := range u.names() {
			a.printf("%s\n", n)
		}
		return nil
	})
	return c
}

func (a *app) passwdPut(u *users, name string, exists bool) error {
	if name == "" || strings.ContainsAny(name, ":\r\n") {
		return usageError{fmt.Errorf("user name %q: it must not be empty nor hold a colon", name)}
	}
	if has := slices.Contains(u.names(), name); has != exists {
		if has {
			return withCode(exitProblems, "user %q exists; fieldgate passwd set gives another password", name)
		}
		return withCode(exitProblems, "there is no user %q in %s; fieldgate passwd add makes it", name, u.path)
	}
	password, err := a.askPassword()
	if err != nil {
		return err
	}
	hash, err := broker.HashPassword(password)
	if err != nil {
		return err
	}
	u.put(name, hash)
	if err := u.save(); err != nil {
		return err
	}
	a.say("%s: %s; a running gateway takes it up with: fieldgate reload", u.path, name)
	return nil
}

// askPassword asks twice at a terminal, and reads one line elsewhere. It never
// takes a password from the command line, which every user can see.
func (a *app) askPassword() (string, error) {
	if f, ok := a.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !a.noInput {
		fmt.Fprint(a.err, "password: ")
		first, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprint(a.err, "\nonce more: ")
		second, err2 := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.err)
		if err := cmp.Or(err, err2); err != nil {
			return "", err
		}
		if string(first) != string(second) {
			return "", withCode(exitUsage, "the two passwords differ")
		}
		return notEmpty(string(first))
	}
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return notEmpty(strings.TrimRight(line, "\r\n"))
}

func notEmpty(password string) (string, error) {
	if password == "" {
		return "", withCode(exitUsage, "the password is empty")
	}
	return password, nil
}

// users is a password file; lines that are not users stay as they are.
type users struct {
	path  string
	lines []string
}

func (a *app) openUsers(path string) (*users, error) {
	if path == "" {
		file, _ := configs.Load(a.configPath(), configs.Options{SkipFiles: true})
		path = cmp.Or(file.Broker.Auth.UsersFile, defaultUsers)
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, fs.ErrPermission):
		return nil, withCode(exitPermission, "%w; use sudo", err)
	case err != nil:
		return nil, err
	}
	u := &users{path: path}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if !plausibleUser(line) {
			return nil, fmt.Errorf("%s is no password file: line %d is not NAME:HASH; name the right one with --file, or move it away", path, len(u.lines)+1)
		}
		u.lines = append(u.lines, line)
	}
	return u, nil
}

// plausibleUser keeps us from listing, and above all from rewriting, a file
// that is something else.
func plausibleUser(line string) bool {
	if line == "" || strings.HasPrefix(line, "#") {
		return true
	}
	_, ok := userOf(line)
	return ok && utf8.ValidString(line) && !strings.ContainsFunc(line, unicode.IsControl)
}

func userOf(line string) (string, bool) {
	name, _, ok := strings.Cut(line, ":")
	return name, ok && !strings.HasPrefix(line, "#")
}

func (u *users) names() []string {
	list := []string{}
	for _, l := range u.lines {
		if name, ok := userOf(l); ok {
			list = append(list, name)
		}
	}
	return list
}

func (u *users) put(name, hash string) {
	for i, l := range u.lines {
		if n, ok := userOf(l); ok && n == name {
			u.lines[i] = name + ":" + hash
			return
		}
	}
	u.lines = append(u.lines, name+":"+hash)
}

func (u *users) remove(name string) bool {
	before := len(u.lines)
	u.lines = slices.DeleteFunc(u.lines, func(l string) bool {
		n, ok := userOf(l)
		return ok && n == name
	})
	return len(u.lines) < before
}

// save replaces the file in one step, so that a power cut leaves the old users
// or the new ones. Owner and mode stay as they are.
func (u *users) save() error {
	mode, uid, gid := fs.FileMode(0o640), -1, -1
	if info, err := os.Stat(u.path); err == nil {
		mode = info.Mode().Perm()
		uid, gid = ownerOf(info)
	} else if info, err := os.Stat(filepath.Dir(u.path)); err == nil {
		// A new file in /etc/fieldgate has to be readable by the service,
		// which comes in by the folder's group.
		_, gid = ownerOf(info)
		uid = os.Getuid()
	}
	f, err := os.CreateTemp(filepath.Dir(u.path), ".users-*")
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return withCode(exitPermission, "%w; use sudo", err)
		}
		return err
	}
	defer os.Remove(f.Name()) // gone already where all went well
	_, err = f.WriteString(strings.Join(u.lines, "\n") + "\n")
	err = cmp.Or(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil && uid >= 0 && os.Getuid() == 0 {
		err = os.Chown(f.Name(), uid, gid)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", u.path, err)
	}
	return os.Rename(f.Name(), u.path)
}
